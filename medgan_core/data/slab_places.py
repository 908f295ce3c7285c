"""Where a simulated slab lies in a label map: thick slices, turned and deformed in plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core.physics.noise import smooth_field

Index = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""Voxels (slice, i, j) along the axes of an array, which broadcast."""

T = TypeVar("T", bound=np.generic)

PLANES = ((2, 0, 1), (2, 0, 1), (2, 0, 1), (1, 0, 2), (0, 1, 2))
"""Axial three times in five, coronal and sagittal once each: (slice, i, j) axes of an RAS array."""

VIEWED = ((2, 0, 1), (2, 0, 1), (2, 0, 1), (1, 0, 2), (0, 2, 1))
"""The same, with i and j of sagittal slices as `inference.views` shows them."""

_THICKNESS = (1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.5)
_SUBSLICES = 3
_STEPS = (1, 1, 1, 2, 3, 5)


@dataclass(frozen=True, eq=False)
class Place:
    """Voxels that a slab is made of.

    Args:
        index: of every sub-slice, in order.
        subslices: of one slice, which is their mean.
    """

    index: Index
    subslices: int


def draw_place(
    shape: Sequence[int],
    *,
    slices: int,
    size: int,
    rng: np.random.Generator,
    generator: torch.Generator,
    pixel_mm: tuple[float, float] = (0.68, 1.3),
    tilt: float = 0.0,
    focus: Sequence[int] | None = None,
) -> Place:
    """Sub-slices of thick slices under an in-plane deformation.

    Args:
        shape: of the array (slice, i, j) with voxels of 1 mm.
        slices: of the slab (odd).
        size: pixels along i and j.
        rng: draws thickness, place, angle and size.
        generator: draws the deformation.
        pixel_mm: smallest and largest side of a pixel.
        tilt: standard deviation of the slice's slope along i and along j, as a tangent; 0 leaves it upright.
        focus: a voxel (slice, i, j) that the middle slice shows, within half its thickness, and that lies in
            the middle half of the picture; None for a place anywhere in the array.
    """
    thickness = float(rng.choice(_THICKNESS))
    subslices = min(_SUBSLICES, int(np.ceil(thickness)))
    reach = thickness * slices / 2
    if focus is None:
        middle = rng.uniform(
            min(0.12 * shape[0] + reach, shape[0] / 2), max(0.97 * shape[0] - reach, shape[0] / 2)
        )
    else:
        middle = focus[0] + 0.5 + rng.uniform(-0.5, 0.5) * thickness
    depth = _depths(middle - reach, slices, thickness, subslices)[:, None, None]
    angle, pixel = rng.normal(0, 0.1), np.exp(rng.uniform(np.log(pixel_mm[0]), np.log(pixel_mm[1])))
    stretch = np.exp(rng.normal(0, 0.05))
    axis = (np.arange(size) - size / 2) * pixel
    u, v = np.meshgrid(axis * stretch, axis / stretch, indexing="ij")
    warp = smooth_field((2, size, size), 6, generator=generator).numpy() * rng.uniform(0, 5)
    if focus is None:
        centre = [n / 2 + rng.uniform(-0.3, 0.3) * max(0.0, n - 0.5 * size * pixel) for n in shape[1:]]
    else:
        centre = [at + rng.uniform(-0.25, 0.25) * size * pixel for at in focus[1:]]
    i = np.floor(centre[0] + np.cos(angle) * u - np.sin(angle) * v + warp[0]).astype(np.intp)
    j = np.floor(centre[1] + np.sin(angle) * u + np.cos(angle) * v + warp[1]).astype(np.intp)
    if tilt > 0:
        slope = rng.normal(0, tilt, 2)
        pivot = [n / 2 for n in shape[1:]] if focus is None else focus[1:]
        depth = depth + (slope[0] * (i - pivot[0]) + slope[1] * (j - pivot[1]))[None]
    return Place((np.floor(depth).astype(np.intp), i[None], j[None]), subslices)


def draw_window(
    shape: Sequence[int],
    *,
    slices: int,
    size: int,
    isotropic: bool,
    rng: np.random.Generator,
    planes: Sequence[tuple[int, int, int]] = PLANES,
) -> tuple[tuple[int, int, int], Place]:
    """A window anywhere in a scan, neither turned nor deformed.

    Args:
        shape: of the scan (i, j, k), slices along k.
        slices: of the slab (odd).
        size: pixels along both sides of the window.
        isotropic: slices may also be cut along other axes, and averaged to thicker ones.
        rng: draws axes, thickness and place.
        planes: to choose from, (slice, i, j) axes of isotropic scans.

    Returns:
        Axes (slice, i, j), and the place along them.
    """
    plane, step = PLANES[0], 1
    if isotropic:
        plane, step = planes[int(rng.integers(len(planes)))], int(rng.choice(_STEPS))
    along = [shape[axis] for axis in plane]
    start = int(rng.integers(along[0])) - slices // 2 * step
    rows, columns = (_neighbours(count, size, rng) for count in along[1:])
    depth = np.clip(start + np.arange(slices * step), 0, along[0] - 1)
    return plane, Place((depth[:, None, None], rows[None, :, None], columns[None, None]), step)


def _neighbours(count: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """So many neighbouring places, within the array or the array within them."""
    first, last = sorted((0, count - size))
    return int(rng.integers(first, last + 1)) + np.arange(size)


def whole(shape: Sequence[int], thickness: float) -> Place:
    """All of an array (slice, i, j) with voxels of 1 mm, in slices of a thickness in mm."""
    subslices = min(_SUBSLICES, int(np.ceil(thickness)))
    depth = np.floor(_depths(0.0, int(shape[0] / thickness), thickness, subslices)).astype(np.intp)
    rows, columns = (np.arange(n) for n in shape[1:])
    return Place((depth[:, None, None], rows[None, :, None], columns[None, None]), subslices)


def take(array: NDArray[T], index: Index) -> NDArray[T]:
    """Voxels at integer places (broadcast), zero outside of the array."""
    inside = np.ones((1, 1, 1), dtype=bool)
    safe: list[NDArray[Any]] = []
    for place, count in zip(index, array.shape, strict=True):
        inside = inside & (place >= 0) & (place < count)
        safe.append(np.clip(place, 0, count - 1))
    return np.where(inside, array[tuple(safe)], array.dtype.type(0))


def _depths(start: float, slices: int, thickness: float, subslices: int) -> NDArray[np.float64]:
    """Middles of all sub-slices along the slices' axis, in voxels."""
    starts = start + np.arange(slices) * thickness
    offsets = (np.arange(subslices) + 0.5) * thickness / subslices
    return np.asarray((starts[:, None] + offsets[None]).ravel())
