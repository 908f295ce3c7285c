"""One network for every pair of contrasts: any of T1, T1post, T2, FLAIR in, T1, T2, FLAIR out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from medgan_core.card import Architecture, Domain, ModelCard, Port, Training, Weights
from medgan_core.data.augmentation import scanner_effects
from medgan_core.data.slabs import Slab, SlabSource
from medgan_core.errors import InputError
from medgan_core.preprocess import Preprocess
from medgan_core.training.recipes.brain_data import SOURCES
from medgan_core.training.recipes.slab_regression import SlabRegression
from medgan_core.training.recipes.sources import generators

INPUTS = ("T1", "T1post", "T2", "FLAIR")
TARGETS = ("T1", "T2", "FLAIR")
_TRIES = 100
_TARGET_INPUT = tuple(INPUTS.index(t) for t in TARGETS)
_BACKGROUND_WEIGHT = 0.15
PREPROCESS = Preprocess(in_plane_mm=(0.65, 1.3), crop_margin_mm=8.0, output="translated")


@dataclass(frozen=True, kw_only=True)
class Translate(SlabRegression):
    """Supervised translation with missing inputs and a predicted error.

    Args:
        effects: strength of what scanners do to the inputs: gain, shading, noise.
    """

    name: ClassVar[str] = "brain-mr-translate"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "60000",
        "batch": "32",
        "size": "192",
        "widths": "64,128,192,256",
    }

    slices: int = 3
    size: int = 192
    widths: tuple[int, ...] = (48, 96, 128, 160)
    epsilon: float = 0.1
    effects: float = 1.0
    ssim: float = 0.1

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        options = {
            "contrasts": len(INPUTS),
            "outputs": len(TARGETS),
            "slices": self.slices,
            "presence": True,
            "widths": list(self.widths),
            "blend": True,
        }
        return Architecture(name="slab-unet", options=options)

    def samples(self, data: Path, *, validation: bool) -> TranslateSamples:
        """Slabs with some contrasts hidden."""
        source = self.slabs(data, PREPROCESS, validation=validation)
        return TranslateSamples(source, seed=self.sample_seed(validation=validation), effects=self.effects)

    def compared(self, image: Tensor, weight: Tensor) -> Tensor:
        """The hidden contrasts alone."""
        return image * weight

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        names = {"T1": "T1-weighted", "T1post": "T1-weighted after contrast agent", "T2": "T2-weighted"}
        return ModelCard(
            name=self.name,
            version="0.3.0",
            title="Brain MR contrast translation",
            description="Predicts a missing T1-, T2-weighted or FLAIR image of a head or brain from any of "
            "T1, T1 after contrast agent, T2 and FLAIR, with a map of the error to expect.",
            task="translate",
            inputs=tuple(Port(key=k, title=names.get(k, k)) for k in INPUTS),
            outputs=(
                *(
                    Port(key=k, title=names.get(k, k), unit="1000 = 99.5th percentile of the foreground")
                    for k in TARGETS
                ),
                Port(key="trust", title="Expected absolute error", kind="trust", unit="as the image"),
            ),
            architecture=self.architecture,
            preprocess=PREPROCESS,
            domain=Domain(
                anatomy="head or brain of an adult",
                modality="MR",
                spacing_mm=(0.4, 8.0),
                extent_mm=(60.0, 400.0),
                gate="brain-mr-gate",
            ),
            data=SOURCES,
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. A lesion that none of the inputs shows cannot appear, and small lesions "
                "may be lost or blurred.",
                "Trained on few patients (multiple sclerosis, treated glioblastoma) and simulated heads; "
                "children, other diseases and implants were not seen.",
                "T1 after contrast agent is never synthesised: enhancement is information of its own.",
            ),
            weights=Weights(file="", sha256=""),
        )


class TranslateSamples:
    """Slabs as (input, truth, weight); sample n depends on the seed and n alone."""

    def __init__(self, source: SlabSource, *, seed: int, effects: float = 1.0) -> None:
        self._source, self._seed, self._effects = source, seed, effects

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (channels, i, j), truth and weight (targets, i, j)."""
        rng, generator = generators(self._seed, number)
        slab, there = self._drawn(rng, generator)
        shown = self._choose(rng, there)
        images = slab.images[: len(INPUTS)]
        corrupted = torch.zeros_like(images)
        for n in shown:
            corrupted[n] = scanner_effects(images[n], rng, generator, strength=self._effects)
        presence = torch.zeros(len(INPUTS))
        presence[shown] = 1.0
        planes = presence[:, None, None].expand(-1, *images.shape[2:])
        truth = images[list(_TARGET_INPUT), images.shape[1] // 2]
        inside = (images[there].amax(dim=(0, 1)) > 0.06).float()
        weight = inside * (1 - _BACKGROUND_WEIGHT) + _BACKGROUND_WEIGHT
        wanted = torch.tensor([float(n in there and n not in shown) for n in _TARGET_INPUT])
        return {
            "input": torch.cat([corrupted.flatten(0, 1), planes]),
            "truth": truth,
            "weight": weight[None] * wanted[:, None, None],
        }

    def _drawn(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Slab, list[int]]:
        """A slab, and which of its contrasts are there: two or more, of which one can be made of another."""
        for _ in range(_TRIES):
            slab = self._source.draw(rng, generator)
            there = [n for n in range(len(INPUTS)) if slab.available[n]]
            if len(there) > 1:
                return slab, there
        raise InputError(
            "There is nothing to translate in these scans",
            expected=f"studies with two or more of {', '.join(INPUTS)}",
            got=f"one or none of them in {_TRIES} slabs",
            action="add scans, or correct the contrasts (key) in the manifest",
        )

    @staticmethod
    def _choose(rng: np.random.Generator, there: list[int]) -> list[int]:
        """Which contrasts are inputs: any non-empty subset that leaves a target to predict."""
        while True:
            count = int(rng.choice((1, 1, 2, 3, 3)))
            shown = sorted(rng.permutation(there)[:count].tolist())
            if any(n in there and n not in shown for n in _TARGET_INPUT):
                return shown
