"""Volumes with thin slices as scans with thick ones, which most heads are scanned with."""

from __future__ import annotations

import numpy as np

from medgan_core.volume import Geometry, Volume


def averaged(volume: Volume, slices: int) -> Volume:
    """So many neighbouring slices (along k) as one, each in their middle; what is left over is dropped."""
    data = volume.data[0]
    count = data.shape[2] // slices
    thick = data[..., : count * slices].reshape(*data.shape[:2], count, slices).mean(3, dtype=np.float32)
    return Volume(thick, _grid(volume, slices, count))


def middles(labels: Volume, slices: int) -> Volume:
    """A label map in the middle of such slices."""
    count = labels.data.shape[3] // slices
    found = labels.data[0][..., slices // 2 :: slices][..., :count]
    return Volume(np.ascontiguousarray(found), _grid(labels, slices, count))


def _grid(volume: Volume, slices: int, count: int) -> Geometry:
    step = np.diag([1.0, 1.0, slices, 1.0])
    step[2, 3] = (slices - 1) / 2
    rows, columns = volume.geometry.shape[:2]
    return Geometry((rows, columns, count), volume.geometry.affine @ step)
