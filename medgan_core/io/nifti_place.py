"""Where a NIfTI header places its voxels, decided once.

Readers differ when codes are zero, a matrix is singular, voxel sizes are not positive or units are not
mm; here the order is sform, qform, voxel sizes alone, in mm, and every decision is put into words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io.spaces import affine_from

_UNITS_MM = {1: 1000.0, 3: 1e-3}
_UNIT_NAMES = {1: "metres", 3: "micrometres"}
_DIFFERENCE_MM = 0.1


def place(raw: Any, shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The affine of a header, voxel centre to RAS mm, and what had to be decided.

    Args:
        raw: a nibabel NIfTI-1 or NIfTI-2 header, unchecked.
        shape: sides (i, j, k).

    Raises:
        InputError: when orientation is claimed, but neither sform nor qform can be used.
    """
    notes: list[str] = []
    sizes = _voxel_sizes(raw, notes)
    sform = _sform(raw, notes) if int(raw["sform_code"]) > 0 else None
    qform = _qform(raw, sizes, notes) if int(raw["qform_code"]) > 0 else None
    if sform is not None:
        affine = sform
        _compare(sform, qform, sizes, shape, notes)
    elif qform is not None:
        affine = qform
    elif int(raw["sform_code"]) > 0 or int(raw["qform_code"]) > 0:
        raise InputError(
            "The orientation in the header is singular, so voxels have no place in the patient",
            expected="an sform or a qform with three independent axes",
            got="; ".join(notes),
            action="repair the orientation in the header of the file",
        )
    else:
        affine = _analyze(sizes, shape)
        notes.append(
            "The header has no orientation (both codes are zero): i was taken to run to the patient's left, "
            "j to the front, k to the head, as in ANALYZE files. Check left and right."
        )
    scale = _unit(raw, notes)
    affine = np.diag([scale, scale, scale, 1.0]) @ affine
    return affine, tuple(notes)


def usable(affine: NDArray[np.float64]) -> bool:
    """True when the 3x4 or 4x4 is finite and its three axes are independent."""
    axes = affine[:3, :3]
    steps = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or steps.min() <= 0:
        return False
    return bool(abs(np.linalg.det(axes / steps)) >= 1e-3)


def _voxel_sizes(raw: Any, notes: list[str]) -> NDArray[np.float64]:
    """pixdim[1..3], made positive."""
    sizes = np.array(raw["pixdim"][1:4], dtype=np.float64)
    given = ", ".join(f"{s:g}" for s in sizes)
    if not np.isfinite(sizes).all() or (sizes <= 0).any():
        sizes = np.where(np.isfinite(sizes) & (sizes != 0), np.abs(np.nan_to_num(sizes)), 1.0)
        notes.append(
            f"The header's voxel sizes ({given}) are not all positive; "
            f"{', '.join(f'{s:g}' for s in sizes)} were taken where they are needed."
        )
    return sizes


def _sform(raw: Any, notes: list[str]) -> NDArray[np.float64] | None:
    rows = np.array([raw["srow_x"], raw["srow_y"], raw["srow_z"]], dtype=np.float64)
    if not usable(rows):
        notes.append("The sform of the header is singular or not finite; it was not used.")
        return None
    return affine_from(rows[:, :3], rows[:, 3])


def _qform(raw: Any, sizes: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64] | None:
    """Method 2 of the NIfTI-1 standard: quaternion (b, c, d), qfac and offsets."""
    b, c, d = (float(raw[f"quatern_{n}"]) for n in "bcd")
    offset = np.array([float(raw[f"qoffset_{n}"]) for n in "xyz"])
    square = b * b + c * c + d * d
    if not np.isfinite([square, *offset]).all() or square > 1.0 + 1e-4:
        notes.append("The qform of the header is not a rotation; it was not used.")
        return None
    norm = max(1.0, square**0.5)
    b, c, d = b / norm, c / norm, d / norm
    a = max(0.0, 1.0 - b * b - c * c - d * d) ** 0.5
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    qfac = float(raw["pixdim"][0])
    if qfac not in (1.0, -1.0):
        notes.append(f"The handedness of the header (qfac) is {qfac:g}; the qform was read with 1.")
        qfac = 1.0
    return affine_from(rotation * (sizes * np.array([1.0, 1.0, qfac])), offset)


def _analyze(sizes: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """No orientation: i to the left, j to the front, k to the head, the middle of the grid at 0."""
    axes = np.diag(sizes * np.array([-1.0, 1.0, 1.0]))
    return affine_from(axes, -axes @ (np.array(shape) - 1) / 2)


def _compare(
    sform: NDArray[np.float64],
    qform: NDArray[np.float64] | None,
    sizes: NDArray[np.float64],
    shape: tuple[int, int, int],
    notes: list[str],
) -> None:
    """Say when the sform, which is used, contradicts the qform or the voxel sizes."""
    steps = np.linalg.norm(sform[:3, :3], axis=0)
    if (np.abs(steps - sizes) > 0.01 * steps).any():
        notes.append(
            f"The header's voxel sizes ({', '.join(f'{s:g}' for s in sizes)}) are not those of its sform "
            f"({', '.join(f'{s:g}' for s in steps)}); the sform was used."
        )
    if qform is not None:
        corners = np.array(np.meshgrid(*((0, n - 1) for n in shape), indexing="ij")).reshape(3, -1)
        shift = np.linalg.norm((sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:], axis=0).max()
        if shift > _DIFFERENCE_MM:
            notes.append(
                f"The header's sform and qform place a corner {shift:.3g} apart; the sform was used."
            )


def _unit(raw: Any, notes: list[str]) -> float:
    """Factor from the header's unit of length to mm; an unknown unit counts as mm."""
    code = int(raw["xyzt_units"]) & 7
    if code in _UNITS_MM:
        notes.append(f"The header is in {_UNIT_NAMES[code]}; it was converted to mm.")
    elif code not in (0, 2):
        notes.append(f"The header's unit of length ({code}) is not one; mm were taken.")
    return _UNITS_MM.get(code, 1.0)
