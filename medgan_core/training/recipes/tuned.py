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
from medgan_core.data.labelled_heads import LabelledHead, LabelledScans, LabelledSlabs
from medgan_core.data.lesion_scans import LESION, LesionSlabs, of_patients
from medgan_core.data.manifest import Manifest
from medgan_core.data.marked_scans import MarkedScans
from medgan_core.data.samples import Samples
from medgan_core.data.slabs import RealSlabs
from medgan_core.data.structures import STRUCTURES
from medgan_core.data.studies import Prepared, prepare
from medgan_core.data.study import Study, part
from medgan_core.errors import InputError
from medgan_core.registry import CARD
from medgan_core.suitability import check_known
from medgan_core.training.cohort import IMAGE, LABELS
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Findings, Recipe
from medgan_core.training.recipes import brain_suggest, lesion_suggest, translate, whole_scans
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.training.recipes.denoise import Denoise, DenoiseSamples
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.lesion_suggest import LesionSuggest
from medgan_core.training.recipes.translate import Translate, TranslateSamples


@dataclass(frozen=True, kw_only=True)
class Tuned(Recipe):
    """Short and gentle, from the weights of a published model, whose folder is `init`."""

    gpu: ClassVar[Mapping[str, str]] = {"updates": "2000", "batch": "32"}
    tells_data: ClassVar[bool] = True

    updates: int = 400
    lr: float = 3e-4
    warmup: int = 30
    ema: float = 0.99
    validate_every: int = 100

    def card(self, training: Training) -> ModelCard:
        """The published model's card without figures; the site is a source that `data_sources` counts."""
        card = ModelCard.load(Path(self.init) / CARD)
        site = DataSource(
            name="Studies of one site",
            patients=0,
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
        return TranslateSamples(source, seed=self.sample_seed(validation=validation), effects=self.effects)


@dataclass(frozen=True, kw_only=True)
class TunedDenoise(Tuned, Denoise):
    """`Denoise` on every image of the patients listed as ``train``, whatever its contrast and grid."""

    def samples(self, data: Path, *, validation: bool) -> DenoiseSamples:
        """Noisy slabs of one image each."""
        files, studies = _part(data, validation=validation)
        prepared = [one for study in studies for one in _alone(files, study)]
        source = _slabs(prepared, slices=self.slices, size=self.size)
        return DenoiseSamples(source, seed=self.sample_seed(validation=validation))


@dataclass(frozen=True, kw_only=True)
class TunedHippocampusSuggest(Tuned, HippocampusSuggest):
    """`HippocampusSuggest` on the labelled crops listed as ``train``.

    The card keeps the factors of the volumes' intervals: the patients held back are too few for new ones.
    """


@dataclass(frozen=True, kw_only=True)
class TunedBrainSuggest(Tuned, BrainSuggest):
    """`BrainSuggest` on the labelled heads listed as ``train``; validated on those listed as ``val``.

    The card keeps the factors of the volumes' intervals, as that of `TunedHippocampusSuggest` does.
    """

    effects: float = 1.0

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Slabs, or whole scans.

        Raises:
            InputError: when a label map has values that are none of the model's, or lacks most structures:
                what is not labelled would be learnt as none.
        """
        files, studies = _part(data, validation=validation)
        cases = [files.case(study) for study in studies]
        for case in cases:
            check_known(f"of {case.study.patient}", case.labels[LABELS].values, self.labels)
        heads = [LabelledHead.of(case, brain_suggest.PREPROCESS, image=IMAGE, label=LABELS) for case in cases]
        for head in heads:
            _check_whole(head)
        if validation:
            return LabelledScans(heads)
        return LabelledSlabs(heads, slices=self.slices, size=self.size, seed=self.seed, effects=self.effects)


@dataclass(frozen=True, kw_only=True)
class TunedLesionSuggest(Tuned, LesionSuggest):
    """`LesionSuggest` on the marked patients listed as ``train``; validated on those listed as ``val``.

    The card keeps the factor of the volume's interval, as that of `TunedHippocampusSuggest` does.
    """

    effects: float = 0.3

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Slabs with some contrasts hidden, or whole scans.

        Raises:
            InputError: when a label map has values that are none of the model's.
        """
        files, studies = _part(data, validation=validation)
        marked = [replace(study, labels={LESION: study.labels[LABELS]}) for study in studies]
        cases = [files.case(study) for study in marked]
        for case in cases:
            check_known(f"of {case.study.patient}", case.labels[LESION].values, self.labels)
        if validation:
            return MarkedScans(cases, lesion_suggest.PREPROCESS)
        source = of_patients(cases, lesion_suggest.PREPROCESS, slices=self.slices, size=self.size)
        return LesionSlabs(source, seed=self.seed, effects=self.effects)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Dice of the lesions; see `whole_scans.judge`."""
        assert isinstance(samples, MarkedScans)
        return whole_scans.judge(
            networks, samples, moment, count=len(samples), slices=self.slices, classes=[1]
        )


def _check_whole(head: LabelledHead) -> None:
    there = len(np.unique(head.classes[head.classes > 0]))
    if there < len(STRUCTURES) / 2:
        raise InputError(
            f"The label map of {head.patient} lacks most structures; the model would forget them",
            expected=f"at least half of the {len(STRUCTURES)} structures",
            got=f"{there} of them",
            action="correct a whole suggestion and submit it, rather than single structures",
        )


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
