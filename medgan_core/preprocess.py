"""From a patient's grid to the array a network takes, and exactly back.

The parameters are part of the model card; what was done to one volume is a `Placement`, which alone is
needed to bring a network's answer back onto the source's grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core.foreground import foreground, percentile_scale
from medgan_core.volume import Geometry, Volume

T = TypeVar("T", bound=np.generic)

SLICES = 2
"""Axis of the network's array that runs through the slices."""

_ISOTROPIC = 1.5
_MASK_STEP_MM = 2.0
TRANSLATED_FOREGROUND = 1000.0
"""In a translated contrast this value is the 99.5th percentile of the foreground."""


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How inputs become a network's array.

    Args:
        in_plane_mm: slices whose in-plane spacing is outside of this range are resampled to its nearer
            end; None leaves every spacing as it is. Slices themselves are never resampled.
        slice_ratio: instead of `in_plane_mm`, the smallest and largest distance of the slices as a multiple
            of the pixels' side; the pixels of other slices are resampled to the nearer end.
        percentile: of the foreground, becomes 1.
        crop_margin_mm: work on the foreground's box with this margin only; None works on everything.
        output: ``source`` brings values back to the scale of the first input, ``translated`` makes the
            foreground's percentile 1000, ``share`` leaves it 1.
    """

    in_plane_mm: tuple[float, float] | None = None
    slice_ratio: tuple[float, float] | None = None
    percentile: float = 99.5
    crop_margin_mm: float | None = None
    output: Literal["source", "translated", "share"] = "source"


@dataclass(frozen=True)
class Placement:
    """What `forward` did to one volume, enough to undo it.

    Args:
        source: grid of the inputs.
        axes: source axis behind each array axis; the last one runs through the slices.
        flips: array axes that run against the source's.
        box: (start, stop) per array axis on the oriented grid.
        shape: of the network's array after in-plane resampling, (i, j, k).
        scales: the value of each input that became 1.
        spacing: of the network's array in mm.
    """

    source: Geometry
    axes: tuple[int, int, int]
    flips: tuple[int, ...]
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    shape: tuple[int, int, int]
    scales: tuple[float, ...]
    spacing: tuple[float, float, float]


def slice_axes(geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """Array axes in the order (in-plane, in-plane, slices), each running along +R, +A or +S.

    The slice axis is the one with clearly the largest spacing, else the one nearest to
    superior-inferior. In-plane axes keep the order R, A, S.

    Returns:
        The source axis behind each array axis, and the array axes that must be flipped.
    """
    directions = geometry.affine[:3, :3] / np.array(geometry.spacing)
    world = _nearest_world_axes(directions)
    spacing = np.array(geometry.spacing)
    thick = int(spacing.argmax())
    others = np.delete(spacing, thick)
    last = thick if spacing[thick] > _ISOTROPIC * others.max() else world.index(2)
    plane = sorted((a for a in range(3) if a != last), key=lambda a: world[a])
    axes = (plane[0], plane[1], last)
    flips = tuple(n for n, a in enumerate(axes) if directions[world[a], a] < 0)
    return axes, flips


def right_axis(placement: Placement) -> int:
    """The axis of the network's array that runs towards the patient's right."""
    source = placement.source
    world = _nearest_world_axes(source.affine[:3, :3] / np.array(source.spacing))
    return placement.axes.index(world.index(0))


def slice_ratio(geometry: Geometry) -> float:
    """Distance of the slices as a multiple of the pixels' side (the geometric mean of both)."""
    axes, _ = slice_axes(geometry)
    rows, columns, slices = (geometry.spacing[a] for a in axes)
    return float(slices / np.sqrt(rows * columns))


def _nearest_world_axes(directions: NDArray[np.float64]) -> list[int]:
    """For each voxel axis the RAS axis it is nearest to, each used once."""
    left = np.abs(directions).copy()
    world = [-1, -1, -1]
    for _ in range(3):
        w, a = np.unravel_index(int(left.argmax()), left.shape)
        world[int(a)] = int(w)
        left[w, :] = -1
        left[:, a] = -1
    return world


def forward(settings: Preprocess, inputs: Sequence[Volume | None]) -> tuple[NDArray[np.float32], Placement]:
    """Orient, crop, resample and scale inputs of one grid.

    Args:
        settings: the card's.
        inputs: volumes of one grid in the order of the card's inputs; None for a missing one.

    Returns:
        Array (c, i, j, k), float32, zeros where an input is missing, and how it got there.
    """
    present = [volume for volume in inputs if volume is not None]
    source = present[0].geometry
    axes, flips = slice_axes(source)
    spacing = tuple(source.spacing[a] for a in axes)
    arrays = [None if volume is None else orient(_clean(volume.data[0]), axes, flips) for volume in inputs]
    shape = tuple(source.shape[a] for a in axes)
    stride = tuple(max(1, round(_MASK_STEP_MM / s)) for s in spacing)
    masks = {
        n: foreground(a[:: stride[0], :: stride[1], :: stride[2]])
        for n, a in enumerate(arrays)
        if a is not None
    }
    scales = tuple(
        1.0
        if a is None
        else percentile_scale(a[:: stride[0], :: stride[1], :: stride[2]], masks[n], settings.percentile)
        for n, a in enumerate(arrays)
    )
    union = np.logical_or.reduce(list(masks.values()))
    box = _box(union, stride, shape, spacing, settings.crop_margin_mm)
    cut = tuple(slice(*ends) for ends in box)
    size, out_spacing = _resampled(settings, box, spacing)
    out = np.zeros((len(arrays), *size), dtype=np.float32)
    for n, a in enumerate(arrays):
        if a is not None:
            np.multiply(resize_slices(a[cut], size[:2]), np.float32(1.0 / scales[n]), out=out[n])
    return out, Placement(source, axes, flips, box, size, scales, out_spacing)


def inverse(
    settings: Preprocess,
    arrays: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    placement: Placement,
    *,
    outside: NDArray[np.floating[Any]] | float = 0.0,
) -> Volume:
    """Bring a network's answer back onto the source's grid and into its card's scale.

    Args:
        settings: the card's.
        arrays: (i, j, k) of each channel on the network's grid.
        placement: what `forward` returned.
        outside: what stands where the network did not look: a value, or an array on the source's grid.

    Returns:
        Float32 volume with the source's geometry.
    """
    scale = {
        "source": placement.scales[_first(placement)],
        "translated": TRANSLATED_FOREGROUND,
        "share": 1.0,
    }[settings.output]
    source_shape = placement.source.shape
    out = np.empty((len(arrays), *source_shape), dtype=np.float32)
    out[:] = outside
    cut = tuple(slice(*ends) for ends in placement.box)
    for channel, target in zip(arrays, out, strict=True):
        view = orient(target, placement.axes, placement.flips)
        size = tuple(stop - start for start, stop in placement.box[:2])
        np.multiply(resize_slices(channel, (size[0], size[1])), np.float32(scale), out=view[cut])
    return Volume(out, placement.source)


def place_mask(mask: NDArray[np.bool_], placement: Placement) -> NDArray[np.bool_]:
    """A mask on the source's grid as it lies on the network's: (i, j, k), pixels it touches are in it."""
    cut = tuple(slice(*ends) for ends in placement.box)
    part = orient(mask, placement.axes, placement.flips)[cut]
    slices = torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1), dtype=np.float32))
    touched = torch.nn.functional.adaptive_max_pool2d(slices[:, None], placement.shape[:2])[:, 0]
    return np.asarray(touched.numpy().transpose(1, 2, 0) > 0)


def place_labels(labels: NDArray[T], placement: Placement) -> NDArray[T]:
    """Labels on the source's grid as they lie on the network's: (i, j, k), nearest neighbour."""
    view = orient(labels, placement.axes, placement.flips)
    index = [
        start + np.floor((np.arange(count) + 0.5) * ((stop - start) / count)).astype(np.intp)
        for (start, stop), count in zip(placement.box, placement.shape, strict=True)
    ]
    return np.ascontiguousarray(view[np.ix_(*index)])


def resize_slices(array: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample each slice of (i, j, k) to (size, k) with the outer edges kept.

    Bicubic; smaller sizes are low-pass filtered first. The same size returns the array itself.
    """
    if array.shape[:2] == tuple(size):
        return array
    slices = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[:, None]
    out = torch.nn.functional.interpolate(
        slices, size=tuple(size), mode="bicubic", antialias=True, align_corners=False
    )
    return np.asarray(out[:, 0].numpy().transpose(1, 2, 0))


def _first(placement: Placement) -> int:
    """Index of the input whose scale the output takes: the first that was there."""
    return next((n for n, s in enumerate(placement.scales) if s != 1.0), 0)


def _clean(data: NDArray[np.generic]) -> NDArray[np.float32]:
    array = np.asarray(data, dtype=np.float32)
    return array if np.isfinite(array).all() else np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)


def orient(array: NDArray[T], axes: tuple[int, int, int], flips: tuple[int, ...]) -> NDArray[T]:
    """A view of (i, j, k) with its axes in the network's order and direction; see `slice_axes`."""
    view = array.transpose(axes)
    return np.flip(view, flips) if flips else view


def _box(
    mask: NDArray[np.bool_],
    stride: tuple[int, ...],
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    margin_mm: float | None,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Box of a strided mask on the full grid, with a margin."""
    if margin_mm is None or not mask.any():
        return (0, shape[0]), (0, shape[1]), (0, shape[2])
    ends: list[tuple[int, int]] = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(margin_mm / spacing[axis])) + stride[axis]
        ends.append(
            (
                max(0, int(hit[0]) * stride[axis] - margin),
                min(shape[axis], int(hit[-1]) * stride[axis] + 1 + margin),
            )
        )
    return ends[0], ends[1], ends[2]


def _resampled(
    settings: Preprocess, box: tuple[tuple[int, int], ...], spacing: tuple[float, ...]
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Shape and spacing of the network's array."""
    size = [stop - start for start, stop in box]
    out = list(spacing)
    limits = settings.in_plane_mm
    if settings.slice_ratio is not None:
        limits = (spacing[2] / settings.slice_ratio[1], spacing[2] / settings.slice_ratio[0])
    if limits is not None:
        low, high = limits
        for axis in (0, 1):
            wanted = min(max(spacing[axis], low), high)
            count = max(1, round(size[axis] * spacing[axis] / wanted))
            if wanted != spacing[axis] and count != size[axis]:
                out[axis] = size[axis] * spacing[axis] / count
                size[axis] = count
    return (size[0], size[1], size[2]), (out[0], out[1], out[2])
