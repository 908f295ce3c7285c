"""What a medical volume is here: an array with its place in the patient.

Conventions, stated once: voxel axes are ``(i, j, k)`` in this order, a volume's data are channel
first ``(c, i, j, k)``, the affine maps the *centre* of voxel ``(i, j, k)`` to millimetres in RAS
(x to the patient's right is negative in LPS files; files are converted in `medgan_core.io` alone).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Geometry:
    """A voxel grid in the patient's space.

    Args:
        shape: number of voxels along ``(i, j, k)``.
        affine: 4x4, voxel centre to RAS in mm, float64.
        nifti: the 348 bytes of the NIfTI-1 header the geometry was read from, if it was one, so
            that qform, sform and their codes can be written back byte for byte.

    Raises:
        InputError: when a side is not positive, or the affine is not finite or is singular.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    nifti: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(
                "The grid is not a 3D volume",
                expected="three positive sides (i, j, k)",
                got=str(self.shape),
                action="choose a single 3D volume",
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError(
                "The affine is not usable",
                expected="a finite 4x4 matrix from voxels to RAS mm",
                got=f"shape {affine.shape}, values {affine.tolist()}",
                action="repair the header of the file",
            )
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if steps.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / np.maximum(steps, 1e-30))) < 1e-3:
            raise InputError(
                "The affine is singular, so voxels have no place in the patient",
                expected="three independent voxel axes",
                got=f"axes {affine[:3, :3].tolist()}",
                action="repair the orientation in the header of the file",
            )
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along (i, j, k) in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def extent(self) -> tuple[float, float, float]:
        """Field of view along (i, j, k) in mm, outer edge to outer edge."""
        si, sj, sk = self.spacing
        return self.shape[0] * si, self.shape[1] * sj, self.shape[2] * sk

    def corners(self) -> NDArray[np.float64]:
        """The centres of the eight corner voxels in RAS mm, shape (8, 3)."""
        ends = np.array(list(product(*((0, n - 1) for n in self.shape))), dtype=np.float64)
        return np.asarray(ends @ self.affine[:3, :3].T + self.affine[:3, 3])

    def close_to(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """True when both grids have the same shape and corner voxels agree within the tolerance."""
        return self.shape == other.shape and bool(
            np.abs(self.corners() - other.corners()).max() <= tolerance_mm
        )


@dataclass(frozen=True, eq=False)
class Volume:
    """A medical volume: channel-first data on a `Geometry`.

    Args:
        data: shape (c, i, j, k), any real dtype; a 3D array gets one channel.
        geometry: the grid, whose shape must be that of the last three axes.
        notes: what a reader had to decide or repair, in sentences; they go into the report.

    Raises:
        InputError: when the array does not fit the grid, or is complex, RGB or not numeric.
    """

    data: NDArray[Any]
    geometry: Geometry
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim == 3:
            data = data[None]
        if data.ndim != 4 or data.shape[1:] != self.geometry.shape:
            raise InputError(
                "The array does not fit its grid",
                expected=f"(c, i, j, k) with (i, j, k) = {self.geometry.shape}",
                got=f"an array of shape {data.shape}",
                action="give data and geometry of one volume",
            )
        if data.dtype.kind not in "biuf":
            raise InputError(
                "The voxels are not real numbers",
                expected="an integer or floating-point volume",
                got=f"type {data.dtype}",
                action="convert the volume to a scalar one (magnitude, or one channel)",
            )
        object.__setattr__(self, "data", data)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.data.shape[0])

    def with_data(self, data: NDArray[Any]) -> Volume:
        """The same place in the patient with other voxels, shape (c, i, j, k) or (i, j, k)."""
        return replace(self, data=data, notes=())
