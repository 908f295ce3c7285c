"""A derived series has the source's place, patient and class, and says that it is synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from medgan_core import io
from medgan_core.volume import Geometry, Volume
from monailabel_app.dicom.errors import UnwritableError
from monailabel_app.dicom.making import SYNTHETIC_DATA
from monailabel_app.dicom.pixels import Scale
from monailabel_app.dicom.series import derived_series
from monailabel_app.dicom.source import Source, read_series
from tests.app.dicom.conftest import PHANTOMS, assert_consistent, assert_valid
from tests.app.dicom.phantoms import CT, ENHANCED_MR, MR, OBLIQUE, Phantom
from tests.app.dicom.results import DENOISED, TRANSLATED, fractional, write

IDENTITY: dict[str, Any] = {"series_uid": "2.25.17", "number": 90004}


def derive(folder: Path, making: Any = TRANSLATED) -> tuple[Volume, list[Dataset]]:
    """A result on the grid of a series, and its instances."""
    result = fractional(read_series(folder))
    return result, list(derived_series(result, [Source.load(folder)], making, **IDENTITY))


@pytest.mark.parametrize("name", PHANTOMS)
def test_place_and_values_come_back(name: str, tmp_path: Path) -> None:
    source = PHANTOMS[name].write(tmp_path / "source")
    result, instances = derive(source)
    files = write(instances, tmp_path / "result")
    assert_valid(*files)
    back = io.read(tmp_path / "result")
    assert back.geometry.close_to(read_series(source).geometry, tolerance_mm=1e-9)
    error = Scale.of(result.data).error
    assert 0 < error < 0.02
    np.testing.assert_allclose(back.data, result.data, rtol=0, atol=error * 1.0001)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "result")))
    corner = image.TransformContinuousIndexToPhysicalPoint([n - 1.0 for n in image.GetSize()])
    np.testing.assert_allclose(result.geometry.corners()[-1] * (-1, -1, 1), corner, atol=1e-3)


def test_the_source_and_the_result_are_one_study(tmp_path: Path) -> None:
    source = Phantom(OBLIQUE).write(tmp_path / "all" / "source")
    _, instances = derive(source)
    write(instances, tmp_path / "all" / "result")
    assert_consistent(tmp_path / "all")


def test_it_says_that_it_is_synthetic_and_how_it_was_made(tmp_path: Path) -> None:
    _, instances = derive(Phantom().write(tmp_path / "s"))
    image = instances[0]
    assert image[SYNTHETIC_DATA].value == "YES"
    assert image.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert image.SeriesDescription == "SYNTHETIC T2 (toy-translate 0.1.0)"
    for word in ("Synthetic", "toy-translate 0.1.0", "T1", "seed 7", "caution", "Not for diagnosis", "error"):
        assert word in image.DerivationDescription
    made, scanned = image.ContributingEquipmentSequence
    purpose = made.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109100", "DCM")
    assert (made.ManufacturerModelName, made.Manufacturer) == ("toy-translate", "MedGAN")
    assert scanned.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert scanned.Manufacturer == "Phantom Scanners"
    assert (image.Manufacturer, image.SeriesDate) == ("MedGAN", "20261120")


def test_patient_study_and_frame_of_reference_are_kept_and_uids_are_new(tmp_path: Path) -> None:
    folder = Phantom().write(tmp_path / "s")
    _, instances = derive(folder)
    header = Source.load(folder).header
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber",
        "FrameOfReferenceUID", "Modality", "SOPClassUID", "SpecificCharacterSet", "BodyPartExamined",
    ):  # fmt: skip
        assert instances[0][keyword].value == header[keyword].value, keyword
    before = {str(frame.header.SOPInstanceUID) for frame in Source.load(folder).slices}
    after = {str(image.SOPInstanceUID) for image in instances}
    assert len(after) == len(instances)
    assert not before & after
    assert {str(image.SeriesInstanceUID) for image in instances} == {"2.25.17"}


def test_a_translated_contrast_inherits_no_acquisition_parameter(tmp_path: Path) -> None:
    _, (image, *_) = derive(Phantom().write(tmp_path / "s"))
    for keyword in ("RepetitionTime", "EchoTime", "EchoTrainLength", "MRAcquisitionType", "ScanOptions"):
        assert image[keyword].is_empty, keyword  # Type 2: there, without a value.
    for keyword in ("FlipAngle", "SequenceName", "ProtocolName", "MagneticFieldStrength", "InversionTime"):
        assert keyword not in image
    assert (image.ScanningSequence, image.SequenceVariant) == ("RM", "NONE")


def test_a_denoised_image_keeps_what_made_its_contrast(tmp_path: Path) -> None:
    _, (image, *_) = derive(Phantom().write(tmp_path / "s"), DENOISED)
    assert (image.RepetitionTime, image.EchoTime, image.FlipAngle) == (612, 14, 80)
    assert (image.ScanningSequence, image.SequenceName) == ("SE", "se2d1")


def test_every_slice_names_the_slice_it_was_made_from(tmp_path: Path) -> None:
    phantom = Phantom(OBLIQUE)
    folder = phantom.write(tmp_path / "s")
    _, instances = derive(folder)
    for k, (image, frame) in enumerate(zip(instances, Source.load(folder).slices, strict=True)):
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == frame.header.SOPInstanceUID
        assert reference.SpatialLocationsPreserved == "YES"
        (series,) = image.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == phantom.series
        assert image.AcquisitionTime == f"1012{k:02d}"


def test_several_inputs_are_all_named_whatever_their_study(tmp_path: Path) -> None:
    first = Phantom(OBLIQUE).write(tmp_path / "t1")
    other = Phantom(OBLIQUE, description="FLAIR", study="2.25.99").write(tmp_path / "flair")
    result = fractional(read_series(first))
    sources = [Source.load(first), Source.load(other)]
    instances = list(derived_series(result, sources, TRANSLATED, **IDENTITY))
    assert_valid(*write(instances, tmp_path / "result"))
    assert len(instances[3].SourceImageSequence) == 2
    (study,) = instances[3].StudiesContainingOtherReferencedInstancesSequence
    assert study.StudyInstanceUID == "2.25.99"
    assert instances[3].StudyInstanceUID == sources[0].header.StudyInstanceUID


def test_an_enhanced_source_gives_plain_slices_that_name_its_frames(tmp_path: Path) -> None:
    folder = Phantom(OBLIQUE).write_enhanced(tmp_path / "s")
    result, instances = derive(folder, DENOISED)
    assert_valid(*write(instances, tmp_path / "result"))
    assert io.read(tmp_path / "result").geometry.close_to(result.geometry, tolerance_mm=1e-9)
    assert {str(image.SOPClassUID) for image in instances} == {MR}
    (reference,) = instances[0].SourceImageSequence
    assert (reference.ReferencedSOPClassUID, reference.ReferencedFrameNumber) == (ENHANCED_MR, 9)
    assert (instances[0].EchoTime, instances[0].ScanningSequence) == (14, "SE")


def test_a_ct_stays_a_ct_in_hounsfield_units(tmp_path: Path) -> None:
    _, instances = derive(PHANTOMS["ct"].write(tmp_path / "s"), DENOISED)
    assert {str(image.SOPClassUID) for image in instances} == {CT}
    assert (instances[0].RescaleType, instances[0].KVP) == ("HU", 120)


def test_a_finer_grid_gets_places_of_its_own(tmp_path: Path) -> None:
    folder = Phantom(OBLIQUE).write(tmp_path / "s")
    source = read_series(folder)
    affine = source.geometry.affine.copy()
    # Four slices for one, filling the same field of view.
    affine[:3, 3] -= affine[:3, 2] * 3 / 8
    affine[:3, 2] /= 4
    i, j, k = source.geometry.shape
    fine = Volume(np.repeat(source.data, 4, axis=3).astype(np.float32), Geometry((i, j, 4 * k), affine))
    instances = list(derived_series(fine, [Source.load(folder)], DENOISED, **IDENTITY))
    assert_valid(*write(instances, tmp_path / "result")[:3])
    back = io.read(tmp_path / "result")
    assert back.geometry.close_to(fine.geometry, tolerance_mm=1e-3)
    np.testing.assert_array_equal(back.data, fine.data)
    assert instances[0].SliceThickness == pytest.approx(3)
    named = [[r.ReferencedSOPInstanceUID for r in image.SourceImageSequence] for image in instances]
    slices = [frame.header.SOPInstanceUID for frame in Source.load(folder).slices]
    assert named == [[slices[n // 4]] for n in range(4 * k)]
    assert instances[0].SourceImageSequence[0].SpatialLocationsPreserved == "NO"


def test_lossy_compression_and_burned_in_text_are_not_forgotten(tmp_path: Path) -> None:
    tags = {
        "LossyImageCompression": "01", "LossyImageCompressionRatio": 8,
        "LossyImageCompressionMethod": "ISO_10918_1", "BurnedInAnnotation": "YES",
    }  # fmt: skip
    _, (image, *_) = derive(Phantom(tags=tags).write(tmp_path / "s"))
    assert (image.LossyImageCompression, image.BurnedInAnnotation) == ("01", "YES")
    assert image.LossyImageCompressionRatio == 8


def test_nothing_that_is_not_named_is_inherited(tmp_path: Path) -> None:
    tags = {"OperatorsName": "Doe^Jane", "ImageComments": "private talk", "InstitutionName": "Hospital"}
    _, (image, *_) = derive(Phantom(tags=tags).write(tmp_path / "s"))
    assert not {"OperatorsName", "ImageComments", "InstitutionName"} & set(image.dir())


def test_a_source_without_frame_of_reference_gets_one_that_its_results_share(tmp_path: Path) -> None:
    folder = Phantom(tags={"FrameOfReferenceUID": None}).write(tmp_path / "s")
    _, (image, *_) = derive(folder)
    _, (other, *_) = derive(folder, DENOISED)
    assert image.FrameOfReferenceUID == other.FrameOfReferenceUID
    assert_valid(*write([image], tmp_path / "result"))


def test_other_modalities_and_sheared_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match="modality"):
        derive(Phantom(tags={"Modality": "PT"}).write(tmp_path / "pet"))
    folder = Phantom().write(tmp_path / "mr")
    result = fractional(read_series(folder))
    affine = result.geometry.affine.copy()
    affine[:3, 0] += 0.1 * affine[:3, 1]
    sheared = Volume(result.data, Geometry(result.geometry.shape, affine))
    with pytest.raises(UnwritableError, match="perpendicular"):
        next(derived_series(sheared, [Source.load(folder)], TRANSLATED, **IDENTITY))
