"""Lesions of multiple sclerosis on FLAIR, with or without T1 and T2: served as ``lesion-suggest``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from medgan_core import completion
from medgan_core.card import Label, ModelCard, Port, Training, Weights
from medgan_core.data.cases import TrainingSet
from medgan_core.data.lesion_scans import (
    LESION,
    SHOWN,
    LesionHeads,
    LesionSlabs,
    of_patients,
    simulated,
)
from medgan_core.data.samples import Samples
from medgan_core.data.slabs import CONTRASTS, MixedSlabs, RealSlabs, SlabSource
from medgan_core.data.study import Study, part, select
from medgan_core.data.training_set import open_training_set
from medgan_core.preprocess import Preprocess
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Findings
from medgan_core.training.recipes import whole_scans
from medgan_core.training.recipes.brain_data import SOURCES, adult_brain
from medgan_core.training.recipes.sources import head_maps
from medgan_core.training.recipes.suggesting import Suggesting

PREPROCESS = Preprocess(in_plane_mm=(0.8, 1.2), crop_margin_mm=8.0)
_HEADS = 8
_SIMULATED = "Learned from simulated heads alone."
_ADAPTED = (
    "Adapted to few patients of one hospital, scanned with 1 mm voxels and shown without skull; all else was "
    "learned from simulated heads."
)
_ALONE = (
    "on the two patients of the shipped model's card FLAIR alone did better (Dice 0.41, with the others made "
    "up 0.32)"
)
_TITLES = {"FLAIR": "FLAIR", "T1": "T1-weighted", "T2": "T2-weighted"}


@dataclass(frozen=True, kw_only=True)
class LesionSuggest(Suggesting):
    """Simulated heads with lesions first, then (with `init` and `real_share`) patients with marked lesions.

    Args:
        size: pixels along the sides of a slab.
        real_share: probability that a slab comes from a patient, not from the simulation.
        sets: names of the data sets, with commas, whose label map ``lesion`` is of multiple sclerosis.
        fold: cross-validation fold of these patients that is left out; -1 leaves out those listed as ``val``.
        effects: strength of what scanners do to the images.
    """

    name: ClassVar[str] = "lesion-suggest"
    labels = (Label(value=1, name="Multiple sclerosis lesion", colour="#ffd400"),)
    judged_on = "simulated scans, all of the label maps listed as val, half of FLAIR alone, slices of 3 mm"
    inputs = tuple(Port(key=key, title=_TITLES[key], required=key == SHOWN[0]) for key in SHOWN)
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "30000",
        "batch": "32",
        "size": "192",
        "widths": "64,128,192,256",
        "validate_every": "3000",
    }

    updates: int = 4000
    batch: int = 8
    lr: float = 1e-3
    validate_every: int = 1000
    size: int = 128
    real_share: float = 0.0
    sets: str = ""
    fold: int = -1
    effects: float = 1.0
    widths: tuple[int, ...] = (32, 64, 96, 128)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Slabs to train on, or whole simulated heads of the label maps left out."""
        held = open_training_set(data)
        maps = head_maps(held, validation=validation)
        heads = simulated(maps, slices=self.slices, size=self.size)
        if validation:
            return LesionHeads(heads, count=_HEADS, seed=self.seed)
        source: SlabSource = heads
        if self.real_share > 0:
            source = MixedSlabs(heads, self._patients(held), self.real_share)
        return LesionSlabs(source, seed=self.seed, effects=self.effects)

    def _patients(self, held: TrainingSet) -> RealSlabs:
        chosen = part(marked(held, self.sets), validation=False, fold=self.fold, purpose=self.name)
        cases = [held.case(s, [*CONTRASTS, LESION]) for s in chosen]
        return of_patients(cases, PREPROCESS, slices=self.slices, size=self.size)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Dice of the lesions; see `whole_scans.judge`."""
        assert isinstance(samples, LesionHeads)
        return whole_scans.judge(
            networks, samples, moment, count=len(samples), slices=self.slices, classes=[1]
        )

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        patients = replace(SOURCES[1], note="with the patients' lesion maps")
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="Multiple sclerosis lesions",
            description="Suggests where lesions of multiple sclerosis are on a FLAIR image, with or without "
            "T1 and T2 beside it, for a person to correct, with a map of the uncertainty and the lesions' "
            "volume.",
            task="suggest",
            inputs=self.inputs,
            outputs=self.outputs,
            architecture=self.architecture,
            preprocess=PREPROCESS,
            domain=adult_brain(anatomy="head or brain of an adult"),
            data=(SOURCES[0], patients),
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. A suggestion must be looked at, and corrected, by a person who knows the "
                "disease.",
                "Whatever is bright in white matter on FLAIR may be called a lesion: strokes, tumours, "
                "oedema and changes of age were not told apart. Lesions of the cortex and the spinal cord "
                "are missed.",
                _ADAPTED if self.real_share > 0 else _SIMULATED,
                "A contrast that was made up cannot add what FLAIR does not show.",
                "The interval of the volume was measured on simulated scans of few heads; on real ones it "
                "may be too narrow.",
            ),
            weights=Weights(file="", sha256=""),
            settings=(replace(completion.SETTING, help=f"{completion.SETTING.help}; {_ALONE}"),),
            completes_with="brain-mr-translate",
            views=3,
        )


def marked(held: TrainingSet, sets: str) -> list[Study]:
    """Studies of the sets (names with commas; "" for all) that have a FLAIR image and a lesion map."""
    studies = held.select(images=SHOWN[:1], labels=[LESION], coverage=["head", "brain"])
    return select(studies, sources=[name for name in sets.split(",") if name])
