"""Smooth random fields over whole volumes, a slice at a time."""

from __future__ import annotations

import torch
from torch import Tensor


class KnotField:
    """White noise on knots so many mm apart, interpolated linearly; of about unit variance at the knots.

    Between two neighbouring knots it changes by at most ``2 limit``, so its slope along an axis is at most
    ``2 limit / distance`` per mm.

    Args:
        shape: (i, j, k) of the volume.
        spacing: of its voxels in mm.
        distance: of the knots in mm.
        generator: source of randomness.
        limit: no knot is further from 0.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        distance: float,
        generator: torch.Generator,
        *,
        limit: float = 3.0,
    ) -> None:
        counts = [2 + int((n - 1) * side / distance) for n, side in zip(shape, spacing, strict=True)]
        self._knots = torch.randn(counts, generator=generator).clamp(-limit, limit)
        self._rows, self._columns, self._slices = (
            _weights(n, side / distance, count) for n, side, count in zip(shape, spacing, counts, strict=True)
        )

    def slice(self, k: int) -> Tensor:
        """(i, j)."""
        return self._rows @ (self._knots @ self._slices[k]) @ self._columns.T


def _weights(count: int, step: float, knots: int) -> Tensor:
    """Of the knots at every voxel, (count, knots); voxels lie `step` knots apart, the first on the first."""
    away = torch.arange(count)[:, None] * step - torch.arange(knots)
    return (1 - away.abs()).clamp(min=0)
