"""Where the slices of a result lie, in DICOM's attributes (mm, LPS)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from medgan_core.io.spaces import swap
from medgan_core.volume import Geometry
from monailabel_app.dicom.errors import UnwritableError
from monailabel_app.dicom.source import Source

_PERPENDICULAR = 1e-4
_COPIED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "SliceLocation",
)  # fmt: skip


def places(geometry: Geometry, source: Source) -> list[Dataset]:
    """The attributes that say where every slice k of a volume lies, ready to be put into its header.

    On the source's own grid every slice repeats the attributes of its source slice, character by character;
    on another grid they are computed (16 decimal characters each).

    Raises:
        UnwritableError: when rows and columns are not perpendicular, which DICOM cannot say.
    """
    if on_grid(geometry, source):
        return [_copied(frame.header, geometry) for frame in source.slices]
    return _computed(geometry)


def on_grid(geometry: Geometry, source: Source) -> bool:
    """Whether slice k of the volume is slice k of the source."""
    return geometry.close_to(source.geometry)


def _copied(header: Dataset, geometry: Geometry) -> Dataset:
    place = Dataset()
    for keyword in _COPIED:
        if header.get(keyword) is not None:
            place[keyword] = header[keyword]
    if place.get("SliceThickness") is None:
        place.SliceThickness = _ds(_distance(geometry))
    return place


def _computed(geometry: Geometry) -> list[Dataset]:
    lps = swap(geometry.affine)
    along_i, along_j, along_k = lps[:3, :3].T
    step_i, step_j = np.linalg.norm(along_i), np.linalg.norm(along_j)
    row, column = along_i / step_i, along_j / step_j
    if abs(row @ column) > _PERPENDICULAR:
        raise UnwritableError(
            "The volume's rows and columns are not perpendicular",
            expected="a grid without shear within its slices",
            got=f"an angle of {np.degrees(np.arccos(np.clip(row @ column, -1, 1))):.2f} degrees",
            action="resample the volume onto a grid without shear",
        )
    found = []
    for k in range(geometry.shape[2]):
        place = Dataset()
        place.ImagePositionPatient = _list(lps[:3, 3] + k * along_k)
        place.ImageOrientationPatient = _list([*row, *column])
        place.PixelSpacing = _list([step_j, step_i])
        place.SliceThickness = place.SpacingBetweenSlices = _ds(_distance(geometry))
        found.append(place)
    return found


def _distance(geometry: Geometry) -> float:
    """Between the planes of neighbouring slices, mm."""
    i, j, k = geometry.affine[:3, :3].T
    normal = np.cross(i, j)
    return float(abs(k @ normal) / np.linalg.norm(normal))


def _list(values: Iterable[Any]) -> list[DSfloat]:
    return [_ds(float(value)) for value in values]


def _ds(value: float) -> DSfloat:
    return DSfloat(value, auto_format=True)
