"""Do the slices of a DICOM series form one volume, and which? No file is touched here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io.spaces import affine_from, swap

_SAME_MM = 1e-3
_EVEN = 0.01
_NOTED = 0.10
_TILT_DEG = 0.1


@dataclass(frozen=True)
class Slice:
    """What the header of one file says, in DICOM's own units and frame (mm, LPS).

    Args:
        file: its path.
        rows: number of rows (j).
        columns: number of columns (i).
        frames: number of frames.
        samples: values per voxel.
        spacing: between rows and between columns (PixelSpacing).
        orientation: direction of a row (along i) and of a column (along j).
        position: centre of the first voxel.
        rescale: slope and intercept.
        thickness: distance to the next slice where only the header can tell, or 0.
        modality: such as ``MR``.
        localizer: True when ImageType says so.
    """

    file: str
    rows: int
    columns: int
    frames: int
    samples: int
    spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    rescale: tuple[float, float]
    thickness: float
    modality: str
    localizer: bool


@dataclass(frozen=True)
class Stack:
    """Slices in the order of k with the grid they form (affine: voxel centre to RAS mm)."""

    slices: tuple[Slice, ...]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    notes: tuple[str, ...]


def stack(slices: Sequence[Slice], *, max_voxels: int) -> Stack:
    """Order slices along their normal and check that they are one volume.

    Raises:
        InputError: when slices are missing, uneven, doubled, or differ in size, spacing, orientation or
            modality; when they are multi-frame, in colour, without place, or too many.
    """
    notes: list[str] = []
    slices = _without_localizers(slices, notes)
    _check_alike(slices)
    first = slices[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = np.cross(row, column)
    depth = np.array([float(np.dot(normal, s.position)) for s in slices])
    order = np.argsort(depth, kind="stable")
    slices = tuple(slices[n] for n in order)
    step = _step(slices, depth[order], normal, notes)
    axes = np.stack([row * first.spacing[1], column * first.spacing[0], step], axis=1)
    affine = swap(affine_from(axes, np.array(slices[0].position)))
    shape = (first.columns, first.rows, len(slices))
    if np.prod(np.array(shape, dtype=np.float64)) > max_voxels:
        raise InputError(
            "The series has more voxels than can be worked on",
            expected=f"at most {max_voxels:,} voxels",
            got=" x ".join(map(str, shape)),
            action="export fewer slices, or a smaller field of view",
        )
    return Stack(slices, shape, affine, tuple(notes))


def _without_localizers(slices: Sequence[Slice], notes: list[str]) -> tuple[Slice, ...]:
    kept = tuple(s for s in slices if not s.localizer)
    if kept and len(kept) < len(slices):
        notes.append(f"{len(slices) - len(kept)} localizer image(s) among the slices were left out.")
    return kept or tuple(slices)


def _check_alike(slices: Sequence[Slice]) -> None:
    """Every slice is one scalar frame with a place, of one size, spacing, orientation and modality."""
    for s in slices:
        if s.frames != 1 or s.samples != 1:
            what = f"{s.frames} frames" if s.frames != 1 else f"{s.samples} values per voxel (a colour image)"
            raise _refuse("The series is not made of plain slices", "one scalar slice per file", what)
        ok = len(s.spacing) == 2 and len(s.orientation) == 6 and len(s.position) == 3
        if not ok or not np.isfinite([*s.spacing, *s.orientation, *s.position]).all() or min(s.spacing) <= 0:
            raise _refuse(
                "A slice does not say where it lies",
                "ImagePositionPatient, ImageOrientationPatient and PixelSpacing in every file",
                f"none or unusable ones in {s.file}",
            )
        row, column = np.array(s.orientation[:3]), np.array(s.orientation[3:])
        if (
            abs(np.linalg.norm(row) - 1) > 0.01
            or abs(np.linalg.norm(column) - 1) > 0.01
            or abs(row @ column) > 0.01
        ):
            raise _refuse(
                "The orientation of a slice is singular",
                "two perpendicular unit vectors",
                f"{s.orientation} in {s.file}",
            )
    _one("size", {f"{s.columns} x {s.rows}" for s in slices})
    _one("modality", {s.modality for s in slices})
    _one("pixel spacing", {" x ".join(f"{n:.4g}" for n in s.spacing) for s in slices})
    reference = np.array(slices[0].orientation)
    odd = [s for s in slices if np.abs(np.array(s.orientation) - reference).max() > 1e-3]
    if odd:
        raise _refuse(
            "The slices do not lie in parallel planes (a localizer among them?)",
            "one orientation",
            f"{len(slices) - len(odd)} in one orientation and {len(odd)} in others",
        )


def _one(what: str, values: set[str]) -> None:
    if len(values) > 1:
        raise _refuse(f"The slices differ in {what}", f"one {what}", ", ".join(sorted(values)[:5]))


def _step(
    slices: tuple[Slice, ...], depth: NDArray[np.float64], normal: NDArray[np.float64], notes: list[str]
) -> NDArray[np.float64]:
    """The vector from one slice to the next, LPS mm.

    Raises:
        InputError: when positions repeat, a slice is missing, or gaps are uneven.
    """
    if len(slices) == 1:
        gap = slices[0].thickness if slices[0].thickness > 0 else max(slices[0].spacing)
        notes.append(f"The series is a single slice; its thickness was taken as {gap:g} mm.")
        return np.asarray(normal * gap)
    gaps = np.diff(depth)
    usual = float(np.median(gaps))
    if gaps.min() < _SAME_MM:
        raise _refuse(
            "Several slices lie at the same place (several echoes, contrasts or times in one series)",
            "one slice per position",
            f"{int((gaps < _SAME_MM).sum())} repeated positions among {len(slices)} slices",
        )
    holes = np.flatnonzero(gaps > 1.5 * usual)
    if holes.size:
        raise _refuse(
            "Slices are missing from the series",
            f"slices {usual:.4g} mm apart",
            f"a gap of {gaps[holes[0]]:.4g} mm behind slice {holes[0] + 1} ({holes.size} such gap(s))",
        )
    uneven = float(np.abs(gaps - usual).max() / usual)
    if uneven > _NOTED:
        raise _refuse(
            "The slices are unevenly spaced",
            f"slices {usual:.4g} mm apart",
            f"distances from {gaps.min():.4g} to {gaps.max():.4g} mm",
        )
    if uneven > _EVEN:
        notes.append(f"Slice distances vary by {100 * uneven:.0f} %; their mean was taken.")
    return _slope(slices, normal, notes)


def _slope(slices: tuple[Slice, ...], normal: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64]:
    """The mean step, checked to be a straight line; a gantry tilt shows as a shear and is kept."""
    positions = np.array([s.position for s in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    line = positions[0] + np.arange(len(slices))[:, None] * step
    across = positions - line
    across -= np.outer(across @ normal, normal)
    if np.linalg.norm(across, axis=1).max() > max(slices[0].spacing):
        raise _refuse(
            "The slices are shifted against each other",
            "slices whose corners lie on a line",
            f"shifts of up to {np.linalg.norm(across, axis=1).max():.3g} mm",
        )
    tilt = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if tilt > _TILT_DEG:
        notes.append(f"The slices are stacked at {tilt:.1f} degrees to their normal (a tilted gantry).")
    return np.asarray(step)


def common_rescale(slices: Sequence[Slice]) -> bool:
    """True when every slice has the same slope and intercept."""
    return len({s.rescale for s in slices}) == 1


def _refuse(what: str, expected: str, got: str) -> InputError:
    return InputError(
        what,
        expected=expected,
        got=got,
        action="export one complete series, or convert it to NIfTI or NRRD",
    )
