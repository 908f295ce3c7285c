"""DICOM series made from phantoms: plain and enhanced MR and CT, in any orientation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR, CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4.1"
STUDY = generate_uid(prefix="2.25.")[:50]
AXIAL = (1.0, 0, 0, 0, 1.0, 0)
SAGITTAL = (0, 1.0, 0, 0, 0, -1.0)
OBLIQUE = (0.956304755963036, 0.292371704722737, 0.0, -0.289527, 0.947001, 0.139173)


def orthonormal(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Row, column and normal as rows of a matrix, made exactly perpendicular."""
    row = np.array(orientation[:3]) / np.linalg.norm(orientation[:3])
    normal = np.cross(row, orientation[3:])
    normal /= np.linalg.norm(normal)
    return np.stack([row, np.cross(normal, row), normal])


@dataclass
class Phantom:
    """A head-like series; ``spacing`` is (between rows, between columns, between slices) in mm."""

    orientation: tuple[float, ...] = AXIAL
    shape: tuple[int, int, int] = (44, 40, 9)  # (columns, rows, slices)
    spacing: tuple[float, float, float] = (3.5, 4.0, 12.0)
    modality: str = "MR"
    description: str = "T1 SE phantom"
    origin: tuple[float, float, float] = (-71.25, -83.5, 14.75)
    depths: tuple[float, ...] | None = None  # places of the slices along the normal, in slice distances
    tags: dict[str, Any] = field(default_factory=dict)
    series: str = field(default_factory=generate_uid)
    study: str = STUDY

    @property
    def voxels(self) -> NDArray[np.int16]:
        """Shells of an ellipsoid, (slices, rows, columns)."""
        columns, rows, slices = self.shape
        k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in (slices, rows, columns)), indexing="ij")
        radius = np.sqrt((i / 0.8) ** 2 + (j / 0.85) ** 2 + (k / 0.95) ** 2)
        data = np.where(radius < 1, 300 + 400 * np.cos(4 * radius) ** 2 + 60 * np.sin(9 * i * j), 0)
        return data.astype(np.int16) - (1024 if self.modality == "CT" else 0)

    def position(self, k: int) -> NDArray[np.float64]:
        """Centre of the first voxel of slice k, LPS mm."""
        depth = k if self.depths is None else self.depths[k]
        return np.array(self.origin) + depth * self.spacing[2] * orthonormal(self.orientation)[2]

    def affine(self) -> NDArray[np.float64]:
        """Voxel (i, j, k) to RAS mm, as the slices say it."""
        row, column, _ = orthonormal(self.orientation)
        last = self.shape[2] - 1
        step = (self.position(last) - self.position(0)) / last
        lps = np.eye(4)
        lps[:3, :3] = np.stack([row * self.spacing[1], column * self.spacing[0], step], axis=1)
        lps[:3, 3] = self.position(0)
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps

    def write(self, folder: Path) -> Path:
        """One file for every slice, in an order that is not theirs in space."""
        folder.mkdir(parents=True, exist_ok=True)
        for k, pixels in enumerate(self.voxels):
            image = self._image(pixels)
            image.SOPInstanceUID = generate_uid()
            image.InstanceNumber = self.shape[2] - k
            image.ImagePositionPatient = [f"{n:.10g}" for n in self.position(k)]
            image.ImageOrientationPatient = [f"{n:.10f}" for n in orthonormal(self.orientation)[:2].ravel()]
            image.PixelSpacing = [str(self.spacing[0]), str(self.spacing[1])]
            image.SliceThickness = str(self.spacing[2])
            image.AcquisitionTime = f"1012{k:02d}"
            save(image, folder / f"{99 - k:03d}.dcm")
        return folder

    def write_enhanced(self, folder: Path) -> Path:
        """One Enhanced MR object, frames in the reverse order of space."""
        folder.mkdir(parents=True, exist_ok=True)
        image = self._image(self.voxels[::-1])
        for keyword in ("RepetitionTime", "EchoTime", "FlipAngle", "ScanningSequence", "SequenceVariant"):
            del image[keyword]
        image.SOPClassUID, image.SOPInstanceUID = ENHANCED_MR, generate_uid()
        image.EchoPulseSequence = "SPIN"
        image.NumberOfFrames, image.InstanceNumber = self.shape[2], 1
        shared, timing, echo, measures = Dataset(), Dataset(), Dataset(), Dataset()
        timing.RepetitionTime, timing.FlipAngle, timing.EchoTrainLength = 612.0, 80.0, 3
        echo.EffectiveEchoTime = 14.0
        measures.PixelSpacing = [str(self.spacing[0]), str(self.spacing[1])]
        measures.SliceThickness = str(self.spacing[2])
        shared.MRTimingAndRelatedParametersSequence = [timing]
        shared.MREchoSequence = [echo]
        shared.PixelMeasuresSequence = [measures]
        orientation = Dataset()
        orientation.ImageOrientationPatient = [f"{n:.10f}" for n in orthonormal(self.orientation)[:2].ravel()]
        shared.PlaneOrientationSequence = [orientation]
        image.SharedFunctionalGroupsSequence = [shared]
        image.PerFrameFunctionalGroupsSequence = []
        for k in reversed(range(self.shape[2])):
            frame, place, values = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = [f"{n:.10g}" for n in self.position(k)]
            values.RescaleSlope, values.RescaleIntercept, values.RescaleType = "1", "0", "US"
            frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [values]
            image.PerFrameFunctionalGroupsSequence.append(frame)
        save(image, folder / "enhanced.dcm")
        return folder

    def _image(self, pixels: NDArray[np.int16]) -> Dataset:
        image = Dataset()
        image.SOPClassUID = CT if self.modality == "CT" else MR
        image.SpecificCharacterSet = "ISO_IR 100"
        image.PatientName, image.PatientID = "Phantöm^Ellipsoid", "PH-17"
        image.PatientBirthDate, image.PatientSex = "19700101", "O"
        image.StudyInstanceUID, image.SeriesInstanceUID = self.study, self.series
        image.FrameOfReferenceUID = f"{self.study}.1"
        image.StudyDate, image.StudyTime, image.StudyID = "20200203", "101010", "7"
        image.AccessionNumber, image.ReferringPhysicianName = "A-123", None
        image.SeriesNumber, image.SeriesDescription, image.Modality = 4, self.description, self.modality
        image.Manufacturer, image.ManufacturerModelName = "Phantom Scanners", "Ellipsoid 3"
        image.ImageType, image.PatientPosition = ["ORIGINAL", "PRIMARY", "OTHER"], "HFS"
        image.PositionReferenceIndicator = None
        image.AcquisitionDate, image.BodyPartExamined = "20200203", "HEAD"
        if self.modality == "MR":
            image.ScanningSequence, image.SequenceVariant, image.SequenceName = "SE", "SK", "se2d1"
            image.RepetitionTime, image.EchoTime, image.FlipAngle, image.EchoTrainLength = 612, 14, 80, 3
            image.MRAcquisitionType, image.ScanOptions, image.MagneticFieldStrength = "2D", None, 1.5
            image.ProtocolName = "t1_se_tra"
        else:
            image.KVP, image.ConvolutionKernel = 120, "H31s"
            image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.Rows, image.Columns = pixels.shape[-2:]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.PixelData = pixels.tobytes()
        for keyword, value in self.tags.items():
            setattr(image, keyword, value)
        return image


def save(image: Dataset, path: Path) -> None:
    """Write a file with preamble and meta information."""
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.is_little_endian, image.is_implicit_VR = True, False
    pydicom.dcmwrite(path, image, write_like_original=False)
