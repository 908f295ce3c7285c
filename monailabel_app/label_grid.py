"""Labels on their image's grid, though the program that wrote them orders its axes in another way.

3D Slicer turns a left-handed volume over when it opens it, and what is saved then comes back flipped: every
voxel is where it was, but not in the same order.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from medgan_core import io
from medgan_core.errors import MedganError
from medgan_core.volume import Geometry, Volume

_SAME_PLACE_MM = 1e-2
ONE_OPEN = threading.Lock()
"""Held while a label is opened: a small file may hold a large one, and the server has room for one."""


def put_on_grid(label: Path, image: Path) -> str:
    """Bring a label's file into the voxel order of its image, where their voxel centres are the same.

    Args:
        label: is written again if need be, with the values it has.
        image: that it is of.

    Returns:
        What to tell the client: "" when the label lies on the image's grid, as it came or in another order.
    """
    try:
        grid, own = io.read_header(image).geometry, io.read_header(label).geometry
        if own.close_to(grid, tolerance_mm=_SAME_PLACE_MM):
            return ""
        order = axis_order(own, grid)
        if order is None:
            return (
                "The label does not lie on its image's grid, so tuning will leave it out. "
                f"Expected: {_told(grid)}. Got: {_told(own)}. "
                "Resample it to the image (nearest neighbour) and submit it again."
            )
        with ONE_OPEN:
            _turn(label, grid, *order)
    except MedganError as error:
        return f"Whether the label lies on its image's grid is not known: {error.what}."
    return ""


def _turn(label: Path, grid: Geometry, axes: tuple[int, ...], flips: tuple[int, ...]) -> None:
    """Write a label again with its voxels in the order of the grid; see `axis_order`."""
    voxels = io.read(label).data.transpose(0, *(axis + 1 for axis in axes))
    voxels = np.flip(voxels, tuple(axis + 1 for axis in flips))
    io.write(Volume(np.ascontiguousarray(voxels), grid), label)


def axis_order(own: Geometry, grid: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """How voxels of one grid are ordered as another has them.

    Args:
        own: of the voxels.
        grid: wanted.

    Returns:
        For ``transpose`` the own axis along each axis of the wanted grid, and the axes (of the wanted grid)
        to flip then; None when the voxel centres of the two are not the same.
    """
    steps = np.rint((np.linalg.inv(grid.affine) @ own.affine)[:3, :3]).astype(int)
    if not (np.abs(steps).sum(axis=0) == 1).all() or not (np.abs(steps).sum(axis=1) == 1).all():
        return None
    axes = tuple(int(axis) for axis in np.abs(steps).argmax(axis=1))
    flips = tuple(number for number, axis in enumerate(axes) if steps[number, axis] < 0)
    affine = own.affine.copy()
    affine[:, :3] = own.affine[:, axes]
    for number in flips:
        affine[:3, 3] += affine[:3, number] * (own.shape[axes[number]] - 1)
        affine[:3, number] *= -1
    shape = (own.shape[axes[0]], own.shape[axes[1]], own.shape[axes[2]])
    same = Geometry(shape, affine).close_to(grid, tolerance_mm=_SAME_PLACE_MM)
    return (axes, flips) if same else None


def _told(grid: Geometry) -> str:
    sides = "x".join(map(str, grid.shape))
    spacing = "x".join(f"{step:.3g}" for step in grid.spacing)
    return f"{sides} voxels of {spacing} mm from {np.round(grid.affine[:3, 3], 2).tolist()}"
