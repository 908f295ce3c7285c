"""Overlapping tiles of a slice and the weights that blend them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

_UNUSED = 3 / 8  # share of an overlap, at the border of a tile, that has no weight


def padded(size: int, multiple: int) -> int:
    """The next multiple of `multiple` that is not smaller than `size`."""
    return -(-size // multiple) * multiple


def starts(size: int, tile: int, overlap: int, multiple: int) -> list[int]:
    """Where tiles begin along one side so that they cover it.

    Every start is a multiple of `multiple`, so that a network which works on a coarser grid sees each
    pixel at the same place of that grid as in the whole slice.

    Args:
        size: of the side, a multiple of `multiple`.
        tile: of the tile, likewise.
        overlap: pixels that neighbours share at least; rounded up to a multiple, and smaller than `tile`.
        multiple: the network's.
    """
    if tile >= size:
        return [0]
    step = max(tile - padded(overlap, multiple), multiple)
    return [*range(0, size - tile, step), size - tile]


def weights(size: int, tile: int, overlap: int, begins: list[int]) -> Tensor:
    """Blending weights along one side; over all tiles they sum to one at every pixel.

    The outer three eighths of an overlap, where a network sees the tile's border, have weight zero; over
    the middle quarter one tile fades linearly into the next. At the ends of the slice nothing fades.

    Returns:
        Float32 (tiles, tile).
    """
    steps = [b - a for a, b in pairwise(begins)]
    overlap = min(overlap, tile - max(steps, default=0))
    away = torch.arange(tile, dtype=torch.float64) + 0.5
    ramp = ((away - _UNUSED * overlap) / max((1 - 2 * _UNUSED) * overlap, 0.5)).clamp(0.0, 1.0)
    raw = torch.ones((len(begins), tile), dtype=torch.float64)
    raw[1:] *= ramp
    raw[:-1] *= ramp.flip(0)
    total = torch.zeros(size, dtype=torch.float64)
    for begin, row in zip(begins, raw, strict=True):
        total[begin : begin + tile] += row
    for begin, row in zip(begins, raw, strict=True):
        row /= total[begin : begin + tile]
    return raw.float()
