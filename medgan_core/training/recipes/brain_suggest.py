"""Tissues and main structures of the brain on any MR contrast: served as ``brain-suggest``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from medgan_core.card import IMAGE, DataSource, ModelCard, Port, Training, Weights
from medgan_core.data.labelled_heads import LabelledScans
from medgan_core.data.samples import Samples
from medgan_core.data.structure_scans import Heads, StructureSlabs, WholeHeads
from medgan_core.data.structures import LABELS, SIDES, STRUCTURES
from medgan_core.data.training_set import open_training_set
from medgan_core.preprocess import Preprocess
from medgan_core.registry import Registry
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Findings
from medgan_core.training.recipes import whole_scans
from medgan_core.training.recipes.brain_data import SOURCES, adult_brain
from medgan_core.training.recipes.refining import refiner
from medgan_core.training.recipes.sources import head_maps
from medgan_core.training.recipes.suggesting import Suggesting

PREPROCESS = Preprocess(in_plane_mm=(0.8, 1.2), crop_margin_mm=8.0)
_SCANS = 4
"""Of each label map that is judged on."""
_SEEN = {False: "simulated heads", True: "simulated and generated heads"}


def _painted(painter: str) -> tuple[DataSource, ...]:
    """Whose scans the painter knows."""
    note = "no scan was shown; the generator that painted some of the heads had learned texture from them"
    known = Registry().card(painter).data
    return tuple(replace(source, note=note, set="") for source in known if source.set != SOURCES[0].set)


@dataclass(frozen=True, kw_only=True)
class BrainSuggest(Suggesting):
    """Slabs of simulated heads: any contrast, brightness, thickness and tilt, whole or brain only.

    Source: Billot et al., "SynthSeg", Med Image Anal 2023. With a `painter` some of them are generated: a
    network that learned what scans look like goes over the simulation.

    Args:
        size: pixels along the sides of a slab.
        painter: a model, shipped or of the user's, that `brain-mr-synthesize` trained; "" for none.
        generated: share of the slabs that it paints.
    """

    name: ClassVar[str] = "brain-suggest"
    labels = LABELS
    sides = SIDES
    judged_on = "simulated scans, all of the label maps listed as val, of any contrast, slices of 4 mm"
    inputs = (Port(key=IMAGE, title="MR image of any contrast", required=True),)
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "60000",
        "batch": "32",
        "size": "192",
        "widths": "64,128,192,256",
        "validate_every": "5000",
    }

    updates: int = 5000
    batch: int = 8
    lr: float = 1e-3
    validate_every: int = 1250
    size: int = 160
    painter: str = ""
    generated: float = 0.5
    widths: tuple[int, ...] = (40, 80, 128, 160)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Slabs to train on, or whole simulated heads of the label maps left out."""
        maps = head_maps(open_training_set(data), validation=validation)
        if validation:
            return WholeHeads(Heads(maps), scans=_SCANS, seed=self.seed)
        refine = refiner(self.painter) if self.painter else None
        heads = Heads(maps, refine=refine, refined=self.generated)
        return StructureSlabs(heads, slices=self.slices, size=self.size, seed=self.seed)

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Dice of each class, both sides together; see `whole_scans.judge`."""
        assert isinstance(samples, WholeHeads | LabelledScans)
        classes = range(1, 1 + len(STRUCTURES))
        return whole_scans.judge(
            networks, samples, moment, count=len(samples), slices=self.slices, classes=classes
        )

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="Brain tissues and structures",
            description="Suggests a segmentation of the brain into tissues and main structures, left and "
            "right apart, on an MR image of any contrast and slice thickness, of the whole head or the brain "
            "alone, for a person to correct, with a map of the uncertainty and every structure's volume.",
            task="suggest",
            inputs=self.inputs,
            outputs=self.outputs,
            architecture=self.architecture,
            preprocess=PREPROCESS,
            domain=adult_brain(anatomy="head or brain of an adult"),
            data=SOURCES[:1] + (_painted(self.painter) if self.painter else ()),
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. A suggestion must be looked at, and corrected, by a person who knows the "
                "anatomy.",
                f"Learned from {_SEEN[bool(self.painter)]} of few adults alone: what their label maps do not "
                "hold (operations, malformations, children) was not seen.",
                "Tumours and lesions count as what they lie in.",
                "Left and right are split by one plane: a structure that crosses the midline, as a pressed "
                "brain's may, is cut there.",
                "The interval of a volume was measured on simulated scans of few heads, with slices of 4 mm; "
                "on real ones it may be too narrow.",
            ),
            weights=Weights(file="", sha256=""),
            sides=self.sides,
            views=3,
        )
