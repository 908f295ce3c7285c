"""Blind denoising of magnitude MR images of any contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from medgan_core.card import Architecture, Domain, ModelCard, Port, Setting, Training, Weights
from medgan_core.data.augmentation import noise_map
from medgan_core.data.slabs import SlabSource
from medgan_core.physics.noise import rician
from medgan_core.preprocess import Preprocess
from medgan_core.training.recipes.brain_data import SOURCES
from medgan_core.training.recipes.slab_regression import SlabRegression
from medgan_core.training.recipes.sources import generators

LEVELS = (0.006, 0.17)
"""Smallest and largest sigma in training, as a share of the foreground's 99.5th percentile."""

_BACKGROUND_WEIGHT = 0.3
PREPROCESS = Preprocess(output="source")


@dataclass(frozen=True, kw_only=True)
class Denoise(SlabRegression):
    """Removes Rician noise of an unknown, possibly varying level and predicts the error that stays."""

    name: ClassVar[str] = "mr-denoise"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "60000",
        "batch": "64",
        "size": "160",
        "widths": "64,128,192",
    }

    slices: int = 5
    size: int = 128
    widths: tuple[int, ...] = (48, 96, 128)
    ssim: float = 0.03
    epsilon: float = 0.05

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        options = {
            "contrasts": 1,
            "outputs": 1,
            "slices": self.slices,
            "widths": list(self.widths),
            "blend": True,
        }
        return Architecture(name="slab-unet", options=options)

    def samples(self, data: Path, *, validation: bool) -> DenoiseSamples:
        """Noisy slabs of one contrast each."""
        source = self.slabs(data, PREPROCESS, validation=validation)
        return DenoiseSamples(source, seed=self.sample_seed(validation=validation))

    def card(self, training: Training) -> ModelCard:
        """What the model says about itself."""
        return ModelCard(
            name=self.name,
            version="0.3.0",
            views=3,
            title="MR denoising",
            description="Removes noise of magnitude MR images, of any contrast and without being told its "
            "level (1 to 15 %, also varying over the image), with a map of the error that stays.",
            task="denoise",
            inputs=(Port(key="image", title="Noisy MR image", required=True),),
            outputs=(
                Port(key="image", title="Denoised image", unit="as the input"),
                Port(key="trust", title="Expected absolute error", kind="trust", unit="as the image"),
            ),
            architecture=self.architecture,
            preprocess=PREPROCESS,
            domain=Domain(
                anatomy="head or brain",
                modality="MR",
                spacing_mm=(0.3, 8.0),
                extent_mm=(30.0, 500.0),
                gate="brain-mr-gate",
                strict=False,
            ),
            data=SOURCES,
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. Structures weaker than the noise may be removed with it.",
                "Made for Rician noise of magnitude images that is independent from voxel to voxel; noise "
                "that was interpolated or filtered before is removed only in part.",
                "Anatomy other than the head is cautioned, not refused.",
            ),
            weights=Weights(file="", sha256=""),
            settings=(
                Setting(
                    key="strength",
                    title="Strength",
                    kind="float",
                    default=1.0,
                    minimum=0.0,
                    maximum=1.0,
                    help="1 removes all the noise the model finds, 0 leaves the image as it is",
                ),
            ),
        )


class DenoiseSamples:
    """Slabs as (input, truth, weight); sample n depends on the seed and n alone."""

    def __init__(self, source: SlabSource, *, seed: int) -> None:
        self._source, self._seed = source, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (slices, i, j), truth and weight (1, i, j)."""
        rng, generator = generators(self._seed, number)
        slab = self._source.draw(rng, generator)
        there = np.flatnonzero(slab.available)
        clean = slab.images[int(rng.choice(there))].clamp(min=0)
        shape = (clean.shape[0], clean.shape[1], clean.shape[2])
        sigma = noise_map(shape, rng, generator, LEVELS)
        noisy = rician(clean, sigma, generator=generator)
        # The percentile that scales a volume is taken from the noisy image, so it comes out a little larger.
        gain = float(np.exp(rng.normal(-0.5 * float(sigma.mean()), 0.08)))
        if rng.random() < 0.35:
            noisy = noisy.masked_fill(clean == 0, 0.0)
        middle = clean.shape[0] // 2
        inside = (clean[middle] > 0.05).float()
        weight = inside * (1 - _BACKGROUND_WEIGHT) + _BACKGROUND_WEIGHT
        return {"input": noisy * gain, "truth": clean[middle][None] * gain, "weight": weight[None]}
