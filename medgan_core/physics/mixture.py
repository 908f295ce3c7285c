"""A contrast that no sequence gives: every region its own random brightness and texture.

Source: Billot et al., "SynthSeg: segmentation of brain MRI scans of any contrast and resolution without
retraining", Med Image Anal 2023, equation 1: a Gaussian mixture conditioned on the label map. What learns
from such images cannot rely on what a tissue usually looks like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medgan_core.physics.noise import smooth_field
from medgan_core.physics.simulation import weighted_percentile

_WIDEST = 0.1
_AIR = 0.3
"""Share of the contrasts in which air is not black."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Mean and standard deviation of the signal of each region.

    Args:
        mean: (regions,), 0 to 1.
        spread: (regions,).
    """

    mean: Tensor
    spread: Tensor

    @staticmethod
    def draw(regions: int, rng: np.random.Generator) -> Mixture:
        """A random contrast; region 0 is air, nearly always black."""
        mean, spread = rng.uniform(0, 1, regions), rng.uniform(0, _WIDEST, regions)
        mean[0] *= 0.2 * (rng.random() < _AIR)
        spread[0] *= mean[0]
        return Mixture(torch.from_numpy(mean).float(), torch.from_numpy(spread).float())

    def paint(self, regions: Tensor, generator: torch.Generator) -> Tensor:
        """The signal of region numbers (d, h, w), not negative; texture is fine and coarse in equal parts."""
        shape = (regions.shape[0], regions.shape[1], regions.shape[2])
        fine = torch.randn(shape, generator=generator)
        coarse = smooth_field(shape, 24, generator=generator, depth_knots=3)
        index = regions.long()
        return (self.mean[index] + self.spread[index] * 0.7 * (fine + coarse)).clamp(min=0)

    def scale(self, counts: Tensor) -> float:
        """The 99.5th percentile over a head with so many voxels of the first regions (no air)."""
        weight = torch.zeros_like(self.mean)
        weight[1 : len(counts)] = counts[1:]
        return weighted_percentile(self.mean, weight)
