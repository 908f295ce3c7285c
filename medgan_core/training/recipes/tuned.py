"""The recipes of published models on the patients of one site alone: nothing is simulated but the noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from medgan_core.card import DataSource, ModelCard, Training
from medgan_core.data.cases import Case
from medgan_core.data.files import FileSet
from medgan_core.data.manifest import Manifest
from medgan_core.data.slabs import RealSlabs
from medgan_core.data.studies import Prepared, prepare
from medgan_core.data.study import Study, part
from medgan_core.registry import CARD
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes import translate
from medgan_core.training.recipes.denoise import Denoise, DenoiseSamples
from medgan_core.training.recipes.translate import Translate, TranslateSamples

_VALIDATION_SEED = 1_000_003


@dataclass(frozen=True, kw_only=True)
class Tuned(Recipe):
    """Short and gentle, from the weights of a published model, whose folder is `init`.

    Args:
        patients: trained on, for the card.
    """

    gpu: ClassVar[Mapping[str, str]] = {"updates": "2000", "batch": "32"}

    updates: int = 400
    lr: float = 3e-4
    warmup: int = 30
    ema: float = 0.99
    validate_every: int = 100
    patients: int = 0

    def card(self, training: Training) -> ModelCard:
        """The published model's card, with what was added to its data and without its figures."""
        card = ModelCard.load(Path(self.init) / CARD)
        site = DataSource(
            name="Studies of one site",
            patients=self.patients,
            licence="not stated",
            citation="none",
            note=f"{card.name} {card.version} was tuned on them; they are not part of the model",
        )
        return replace(card, data=(*card.data, site), training=training, figures=())


@dataclass(frozen=True, kw_only=True)
class TunedTranslate(Tuned, Translate):
    """`Translate` on the patients listed as ``train``; validated on those listed as ``val``."""

    size: int = 144
    epsilon: float = 0.4
    ssim: float = 0.03
    effects: float = 0.3

    def samples(self, data: Path, *, validation: bool) -> TranslateSamples:
        """Slabs with some contrasts hidden."""
        files, studies = _part(data, validation=validation)
        prepared = [prepare(files.case(study), translate.PREPROCESS) for study in studies]
        source = _slabs(prepared, slices=self.slices, size=self.size)
        return TranslateSamples(source, seed=self.seed + _VALIDATION_SEED * validation, effects=self.effects)


@dataclass(frozen=True, kw_only=True)
class TunedDenoise(Tuned, Denoise):
    """`Denoise` on every image of the patients listed as ``train``, whatever its contrast and grid."""

    def samples(self, data: Path, *, validation: bool) -> DenoiseSamples:
        """Noisy slabs of one image each."""
        files, studies = _part(data, validation=validation)
        prepared = [one for study in studies for one in _alone(files, study)]
        source = _slabs(prepared, slices=self.slices, size=self.size)
        return DenoiseSamples(source, seed=self.seed + _VALIDATION_SEED * validation)


def _part(data: Path, *, validation: bool) -> tuple[FileSet, list[Study]]:
    files = FileSet(Manifest.load(data))
    return files, part(files.studies, validation=validation, purpose="the tuned model")


def _alone(files: FileSet, study: Study) -> list[Prepared]:
    """Every image of a study by itself."""
    found = []
    for key, stored in files.case(study).images.items():
        one = Case(study, {key: stored})
        array, available = one.stack([key])
        found.append(Prepared(study, array.astype(np.float16), available, one.isotropic))
    return found


def _slabs(prepared: list[Prepared], *, slices: int, size: int) -> RealSlabs:
    """Every patient is drawn, however many images there are of the others."""
    return RealSlabs(
        [p.array for p in prepared],
        [p.available for p in prepared],
        [p.isotropic for p in prepared],
        slices=slices,
        size=size,
        sources=[p.study.patient for p in prepared],
    )
