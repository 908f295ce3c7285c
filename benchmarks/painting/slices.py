"""Axial slices of several heads, as features and as pictures of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.thick_slices import averaged
from medgan_core.metrics.diversity import mean_pairwise_similarity
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.training.recipes.translate import INPUTS
from medgan_core.volume import Volume

SLICE_MM, FRAME = 4, (192, 224)
_FILLED = 0.15
Rows = NDArray[np.float64]


@dataclass
class Slices:
    """Axial slices of several heads.

    Args:
        rows: features, (n, d) of each head.
        owners: number of the head or patient of each row.
        middles: by number of the head or patient, the middle slices, (1, *FRAME).
        dices: by number of the head, Dice of each sample with the map, where it was painted and segmented.
    """

    rows: list[Rows] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    middles: dict[int, list[Tensor]] = field(default_factory=dict)
    dices: dict[int, list[float]] = field(default_factory=dict)

    def add(self, rows: Rows, owner: int, middle: Tensor) -> None:
        """One head."""
        self.rows.append(rows)
        self.owners += [owner] * len(rows)
        self.middles.setdefault(owner, []).append(framed(middle))

    @property
    def features(self) -> Rows:
        """(n, d)."""
        return np.concatenate(self.rows)

    def alike_within(self) -> float:
        """Mean MS-SSIM of pairs of middle slices of one head."""
        return fmean(_similarity(those) for those in self.middles.values())

    def alike_between(self) -> float:
        """Mean MS-SSIM of pairs of middle slices of two heads."""
        return _similarity([those[0] for those in self.middles.values()])


def _similarity(slices: Sequence[Tensor]) -> float:
    return mean_pairwise_similarity(torch.stack(list(slices)).numpy(), seed=0).mean


def axial(volume: Volume) -> Tensor:
    """Slices (n, h, w) of a volume along R, A, S, averaged to `SLICE_MM`, at 1 = 1000."""
    thick = max(1, round(SLICE_MM / volume.geometry.spacing[2]))
    return torch.from_numpy(averaged(volume, thick).data[0] / 1000).movedim(2, 0)


def rows_of(network: SlabUNet, slices: Tensor, contrast: str) -> Rows:
    """Slices (n, h, w), 1 = the 99.5th percentile, to features (n, d), without those that show little."""
    slices = slices[(slices > 0.1).float().mean(dim=(1, 2)) > _FILLED]
    pad = [(0, -side % network.multiple) for side in slices.shape[1:]]
    slices = functional.pad(slices, (*pad[1], *pad[0]))
    shown = torch.zeros(len(slices), network.in_channels, *slices.shape[1:])
    number = INPUTS.index(contrast)
    shown[:, number * network.slices : (number + 1) * network.slices] = slices[:, None]
    shown[:, len(INPUTS) * network.slices + number] = 1.0
    found = []
    with torch.inference_mode():
        for part in torch.split(shown, 8):
            features = network.features(functional.pixel_unshuffle(part, 2))
            first = functional.avg_pool2d(part[:, number * network.slices][:, None], 2) > 0.1
            weight = first / first.sum(dim=(2, 3), keepdim=True).clamp(min=1)
            mean = (features * weight).sum(dim=(2, 3))
            square = (features.square() * weight).sum(dim=(2, 3))
            found.append(torch.cat([mean, (square - mean**2).clamp(min=0).sqrt()], dim=1))
    return torch.cat(found).double().numpy() if found else np.zeros((0, 1))


def framed(image: Tensor) -> Tensor:
    """A slice (h, w) in the middle of a frame, (1, *FRAME), values to 1."""
    pads = []
    for side, wanted in zip(reversed(image.shape), reversed(FRAME), strict=True):
        before = (wanted - side) // 2
        pads += [before, wanted - side - before]
    return functional.pad(image.clamp(0, 1), pads)[None]
