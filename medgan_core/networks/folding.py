"""Blocks of 2 x 2 (x 2) voxels folded into channels, so that a network works on an eighth of the voxels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def fold(x: Tensor) -> Tensor:
    """(n, c, *spatial) with even sides to (n, 2^d c, *spatial / 2), d the number of spatial axes.

    Source: Shi et al., "Real-time single image super-resolution", CVPR 2016, section 3.2, in any dimension.
    """
    n, channels, *size = x.shape
    dims = len(size)
    split = x.reshape(n, channels, *(part for side in size for part in (side // 2, 2)))
    order = (0, 1, *range(3, 3 + 2 * dims, 2), *range(2, 2 + 2 * dims, 2))
    return split.permute(order).reshape(n, channels * 2**dims, *(side // 2 for side in size))


def unfold(x: Tensor) -> Tensor:
    """The inverse of `fold`: (n, 2^d c, *spatial) to (n, c, *2 spatial)."""
    n, channels, *size = x.shape
    dims = len(size)
    split = x.reshape(n, channels // 2**dims, *(2,) * dims, *size)
    order = (0, 1, *(axis for d in range(dims) for axis in (2 + dims + d, 2 + d)))
    return split.permute(order).reshape(n, channels // 2**dims, *(2 * side for side in size))


def binomial(x: Tensor) -> Tensor:
    """(n, c, *spatial) averaged with weights 1, 2, 1 along each axis; edges repeat.

    Nothing is left of the finest frequency, in which a grid of unfolded blocks shows, half of that with a
    period of four voxels along an axis.
    """
    for axis in range(2, x.ndim):
        last = x.shape[axis] - 1
        before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, last)], dim=axis)
        after = torch.cat([x.narrow(axis, 1, last), x.narrow(axis, last, 1)], dim=axis)
        x = (before + 2 * x + after) / 4
    return x


class Folded(nn.Module):
    """A network of images that works on folded voxels; its first input is folded, its answer unfolded.

    The answer passes `binomial`: a network that learned from a discriminator leaves the grid of its blocks in
    the image. What the filter takes besides the grid the network learns to add beforehand.

    Attributes:
        inner: the network; its channels are 2^d times those that this one takes and gives.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, *others: Any) -> Tensor:
        """(n, c, *spatial) with even sides, and what else the network takes."""
        return binomial(unfold(self.inner(fold(x), *others)))
