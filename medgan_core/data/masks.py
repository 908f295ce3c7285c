"""Regions to repair: blobs, boxes, missing slices, and the shapes of real lesions.

Every mask is a boolean tensor (*spatial) with at least one voxel; sizes are shares of the image's sides, so
that the same rules serve 2D and 3D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.errors import UsageError

Shape = tuple[int, ...]
Draw = Callable[[Shape, np.random.Generator, torch.Generator], Tensor]


def box(shape: Shape, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One box; every side is 15 % to 45 % of the image's."""
    mask = torch.zeros(shape, dtype=torch.bool)
    place = []
    for count in shape:
        side = min(count, max(1, round(count * rng.uniform(0.15, 0.45))))
        start = int(rng.integers(count - side + 1))
        place.append(slice(start, start + side))
    mask[tuple(place)] = True
    return mask


def blob(shape: Shape, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """A ball whose radius (8 % to 22 % of the shortest side) wobbles smoothly."""
    radius = max(1.0, min(shape) * rng.uniform(0.08, 0.22))
    centre = [rng.uniform(0.2, 0.8) * (n - 1) for n in shape]
    axes = [torch.arange(n, dtype=torch.float32) - c for n, c in zip(shape, centre, strict=True)]
    distance = torch.stack([a**2 for a in torch.meshgrid(*axes, indexing="ij")]).sum(0).sqrt()
    coarse = torch.randn((1, 1, *([6] * len(shape))), generator=generator)
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    wobble = functional.interpolate(coarse, size=shape, mode=mode, align_corners=True)[0, 0]
    mask = distance < radius * (1 + 0.35 * wobble).clamp(min=0.3)
    mask[tuple(round(c) for c in centre)] = True
    return mask


def missing_slices(shape: Shape, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One to three neighbouring slices across the last axis (rows of voxels in 2D)."""
    mask = torch.zeros(shape, dtype=torch.bool)
    count = min(int(rng.integers(1, 4)), shape[-1])
    start = int(rng.integers(shape[-1] - count + 1))
    mask[..., start : start + count] = True
    return mask


class LesionShapes:
    """Masks cut from lesion maps of patients, turned by right angles and mirrored.

    Args:
        maps: lesion maps (slices, h, w), boolean; those without a lesion are left out.

    Raises:
        UsageError: when no map has a lesion.
    """

    def __init__(self, maps: Sequence[Tensor]) -> None:
        self._maps = [m.bool() for m in maps if bool(m.any())]
        self._voxels = [m.nonzero().to(torch.int16) for m in self._maps]
        if not self._maps:
            raise UsageError("No lesion map has a lesion", expected="at least one", got="none")

    def __call__(self, shape: Shape, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """The lesions within a window around a random lesion voxel, which lies in its middle half."""
        number = int(rng.integers(len(self._maps)))
        lesions, voxels = self._maps[number], self._voxels[number]
        voxel = [int(v) for v in voxels[int(rng.integers(len(voxels)))]]
        if len(shape) == 2:
            lesions, voxel = lesions[voxel[0]], voxel[1:]
        out = torch.zeros(shape, dtype=torch.bool)
        inside = []
        for axis, (count, middle) in enumerate(zip(shape, voxel, strict=True)):
            shift = middle - int(rng.uniform(0.25, 0.75) * count)
            index = torch.arange(count) + shift
            valid = ((index >= 0) & (index < lesions.shape[axis])).nonzero()[:, 0]
            lesions = lesions.index_select(axis, index[valid])
            inside.append(slice(int(valid[0]), int(valid[-1]) + 1))
        out[tuple(inside)] = lesions
        for axis in range(len(shape)):
            if rng.random() < 0.5:
                out = out.flip(axis)
        return out.transpose(-1, -2) if shape[-1] == shape[-2] and rng.random() < 0.5 else out


MASKS: dict[str, Draw] = {"blob": blob, "box": box, "slices": missing_slices}
"""Masks that need no data; `LesionShapes` is the fourth kind, ``lesion``."""
