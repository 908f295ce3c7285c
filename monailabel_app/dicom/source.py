"""A series as it came from the PACS: its files, its grid, its slices in order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from medgan_core import io
from medgan_core.errors import InputError
from medgan_core.io.dicom_series import Slice, stack
from medgan_core.volume import Geometry, Volume
from monailabel_app.dicom.frames import Frame, frames, is_enhanced, plain_instances, uid

# PS3.3 type 2: must be there, may be empty. highdicom asks for them.
_NEVER_ABSENT = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Source:
    """The slices of a series in the order of k, and the grid they form.

    Args:
        slices: one for every k; localizers among the images are left out.
        geometry: as `read_series` gives it, voxel centre to RAS mm.
    """

    slices: tuple[Frame, ...]
    geometry: Geometry

    @property
    def header(self) -> Dataset:
        """The header of the first slice; what the series shares is in it."""
        return self.slices[0].header

    @property
    def series_uid(self) -> str:
        """Its Series Instance UID."""
        return str(self.header.SeriesInstanceUID)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slices, LPS."""
        orientation = np.array(self.header.ImageOrientationPatient, dtype=float)
        return np.asarray(np.cross(orientation[:3], orientation[3:]))

    @cached_property
    def depths(self) -> NDArray[np.float64]:
        """Place of every slice along the normal, mm, ascending."""
        positions = np.array([frame.header.ImagePositionPatient for frame in self.slices], dtype=float)
        return np.asarray(positions @ self.normal)

    @staticmethod
    def load(folder: Path) -> Source:
        """Read the headers of a series.

        Args:
            folder: with the files of one series and nothing else.

        Raises:
            InputError: when a file is not DICOM, or the slices do not form one volume.
        """
        headers = [_header(file) for file in sorted(folder.iterdir())]
        try:
            found = [_complete(frame) for header in headers for frame in frames(header)]
            order = stack([_slice(frame, n) for n, frame in enumerate(found)], max_voxels=io.MAX_VOXELS)
        except (ValueError, TypeError, AttributeError) as error:
            raise _damaged(folder.name, str(error)) from error
        slices = tuple(found[int(s.file)] for s in order.slices)
        return Source(slices, Geometry(order.shape, order.affine))


def read_series(folder: Path) -> Volume:
    """The volume of a series; an enhanced multi-frame object is read like the plain slices it stands for.

    Args:
        folder: with the files of one series and nothing else.

    Raises:
        InputError: when a file is damaged, or the slices do not form one volume.
    """
    files = sorted(folder.iterdir())
    if not any(is_enhanced(_header(file)) for file in files):
        return io.read(folder)
    with tempfile.TemporaryDirectory(prefix="medgan-") as scratch:
        number = 0
        for file in files:
            for plain in _unfolded(file):
                number += 1
                pydicom.dcmwrite(Path(scratch) / f"{number}.dcm", plain, write_like_original=False)
        return io.read(scratch)


def _unfolded(file: Path) -> list[Dataset]:
    try:
        return list(plain_instances(pydicom.dcmread(file)))
    except (InvalidDicomError, NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError) as e:
        raise _damaged(file.name, str(e)) from e


def _header(file: Path) -> Dataset:
    try:
        return pydicom.dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(file.name, str(error)) from error


def _complete(frame: Frame) -> Frame:
    for keyword in _NEVER_ABSENT:
        if keyword not in frame.header:
            setattr(frame.header, keyword, None)
    if not frame.header.get("FrameOfReferenceUID"):
        # Results need one; all results of the series share it.
        frame.header.FrameOfReferenceUID = uid(frame.header.SeriesInstanceUID, "frame of reference")
    return frame


def _slice(frame: Frame, number: int) -> Slice:
    header = frame.header
    return Slice(
        file=str(number),
        rows=int(header.Rows),
        columns=int(header.Columns),
        frames=int(header.get("NumberOfFrames") or 1),
        samples=int(header.get("SamplesPerPixel") or 1),
        spacing=_floats(header.get("PixelSpacing")),
        orientation=_floats(header.get("ImageOrientationPatient")),
        position=_floats(header.get("ImagePositionPatient")),
        rescale=(float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)),
        thickness=float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0),
        modality=str(header.get("Modality", "")),
        localizer="LOCALIZER" in [str(word).upper() for word in header.get("ImageType") or ()],
    )


def _floats(values: Sequence[float] | None) -> tuple[float, ...]:
    return tuple(float(value) for value in values or ())


def _damaged(name: str, got: str) -> InputError:
    return InputError(
        f"The DICOM object {name} cannot be read",
        expected="an image with the attributes of its class",
        got=got[:300] or "damaged data",
        action="look at the series in the PACS, or export it again from the scanner",
    )
