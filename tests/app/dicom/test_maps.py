"""Trust maps and label maps keep voxels, place and names, and refer to the true source images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pydicom_seg
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medgan_core.volume import Geometry, Volume
from monailabel_app.dicom.errors import UnwritableError
from monailabel_app.dicom.making import SYNTHETIC_DATA
from monailabel_app.dicom.segmentation import segmentation
from monailabel_app.dicom.source import Source, read_series
from monailabel_app.dicom.trust_map import parametric_map
from tests.app.dicom.conftest import PHANTOMS, assert_valid
from tests.app.dicom.phantoms import ENHANCED_MR, OBLIQUE, Phantom
from tests.app.dicom.results import TRANSLATED, fractional, write

IDENTITY: dict[str, Any] = {"series_uid": "2.25.18", "number": 90005}
TRUST = replace(TRANSLATED, key="trust", title="Expected absolute error")


def placed(dataset: Dataset) -> NDArray[np.float64]:
    """Voxel (i, j, frame) to RAS mm, from the functional groups alone."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = dataset.PerFrameFunctionalGroupsSequence
    first, last = (
        np.array(frames[n].PlanePositionSequence[0].ImagePositionPatient, dtype=float) for n in (0, -1)
    )
    lps = np.eye(4)
    step = (last - first) / (len(frames) - 1)
    lps[:3, :3] = np.stack([orientation[:3] * columns, orientation[3:] * rows, step], axis=1)
    lps[:3, 3] = first
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.mark.parametrize("name", ["axial", "oblique", "sagittal", "thick", "ct"])
def test_a_parametric_map_keeps_every_voxel_and_its_place(name: str, tmp_path: Path) -> None:
    folder = PHANTOMS[name].write(tmp_path / "s")
    trust = fractional(read_series(folder))
    (file,) = write([parametric_map(trust, [Source.load(folder)], TRUST, **IDENTITY)], tmp_path / "r")
    assert_valid(file)
    back = pydicom.dcmread(file)
    values = np.frombuffer(back.FloatPixelData, np.float32).reshape(
        back.NumberOfFrames, back.Rows, back.Columns
    )
    np.testing.assert_array_equal(values.T, trust.data[0])
    assert Geometry(trust.geometry.shape, placed(back)).close_to(trust.geometry)
    assert back[SYNTHETIC_DATA].value == "YES"
    mapping = back.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    unit = mapping.MeasurementUnitsCodeSequence[0].CodeValue
    assert unit == ("[hnsf'U]" if name == "ct" else "[arb'U]")
    assert str(back.PatientName) == "Phantöm^Ellipsoid"
    assert back.SeriesDescription.startswith("SYNTHETIC trust")


def labelled(volume: Volume) -> Volume:
    """Two labels, 2 and 5, and background."""
    return volume.with_data(
        np.where(volume.data > 600, 5, np.where(volume.data > 350, 2, 0)).astype(np.uint8)
    )


@pytest.mark.parametrize("name", ["oblique", "sagittal", "thick"])
def test_a_segmentation_keeps_labels_names_and_place(name: str, tmp_path: Path) -> None:
    folder = PHANTOMS[name].write(tmp_path / "s")
    labels = labelled(read_series(folder))
    sources = [Source.load(folder)]
    dataset = segmentation(labels, {2: "grey matter", 5: "blob"}, sources, TRANSLATED, **IDENTITY)
    (file,) = write([dataset], tmp_path / "r")
    assert_valid(file)
    back = highdicom.seg.segread(file)
    assert [s.SegmentLabel for s in back.SegmentSequence] == ["grey matter", "blob"]
    kinds = [s.SegmentedPropertyTypeCodeSequence[0] for s in back.SegmentSequence]
    assert [(k.CodingSchemeDesignator, k.CodeValue) for k in kinds] == [
        ("SCT", "362880003"), ("99MEDGAN", "blob"),
    ]  # fmt: skip
    assert {s.SegmentAlgorithmType for s in back.SegmentSequence} == {"AUTOMATIC"}
    uids = [str(frame.header.SOPInstanceUID) for frame in sources[0].slices]
    pixels = back.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    expected = np.select([labels.data[0] == 2, labels.data[0] == 5], [1, 2], 0)
    np.testing.assert_array_equal(pixels.T, expected)
    # What MONAI Label reads segmentations of the PACS with.
    image = pydicom_seg.MultiClassReader().read(pydicom.dcmread(file)).image
    inside = np.argwhere(expected > 0)[0]
    corner = np.append(inside, 1) @ labels.geometry.affine.T
    index = image.TransformPhysicalPointToIndex((-corner[0], -corner[1], corner[2]))
    assert image[index] == expected[tuple(inside)]


def test_a_suggestion_carries_the_names_and_codes_of_its_card(tmp_path: Path) -> None:
    folder = Phantom().write(tmp_path / "s")
    labels = labelled(read_series(folder))
    names, codes = {2: "Anterior hippocampus", 5: "Nameless part"}, {2: "5366008", 5: "1"}
    found = segmentation(labels, names, [Source.load(folder)], TRANSLATED, codes=codes, **IDENTITY)
    assert_valid(*write([found], tmp_path / "r"))
    assert [s.SegmentLabel for s in found.SegmentSequence] == list(names.values())
    kinds = [s.SegmentedPropertyTypeCodeSequence[0] for s in found.SegmentSequence]
    assert [(k.CodingSchemeDesignator, k.CodeValue, k.CodeMeaning) for k in kinds] == [
        ("SCT", "5366008", "Hippocampus"), ("SCT", "1", "Nameless part"),
    ]  # fmt: skip


def test_references_name_the_frames_of_an_enhanced_source(tmp_path: Path) -> None:
    folder = Phantom(OBLIQUE).write_enhanced(tmp_path / "s")
    volume, sources = read_series(folder), [Source.load(folder)]
    for dataset in (
        parametric_map(fractional(volume), sources, TRUST, **IDENTITY),
        segmentation(labelled(volume), {}, sources, TRANSLATED, **IDENTITY),
    ):
        assert_valid(*write([dataset], tmp_path / dataset.Modality))
        frames = sources[0].slices
        for group in dataset.PerFrameFunctionalGroupsSequence:
            place = group.PlanePositionSequence[0].ImagePositionPatient
            (image,) = group.DerivationImageSequence[0].SourceImageSequence
            meant = next(f for f in frames if np.allclose(f.header.ImagePositionPatient, place))
            assert image.ReferencedSOPClassUID == ENHANCED_MR
            assert image.ReferencedFrameNumber == meant.number
        (series,) = dataset.ReferencedSeriesSequence
        assert len(series.ReferencedInstanceSequence) == 1


def test_a_map_on_a_finer_grid_names_the_slices_it_came_from(tmp_path: Path) -> None:
    folder = Phantom(OBLIQUE).write(tmp_path / "s")
    coarse = read_series(folder)
    affine = coarse.geometry.affine.copy()
    affine[:3, 3] -= affine[:3, 2] / 4
    affine[:3, 2] /= 2
    i, j, k = coarse.geometry.shape
    fine = Volume(np.repeat(coarse.data, 2, axis=3).astype(np.float32), Geometry((i, j, 2 * k), affine))
    found = parametric_map(fine, [Source.load(folder)], TRUST, **IDENTITY)
    assert_valid(*write([found], tmp_path / "r"))
    assert Geometry(fine.geometry.shape, placed(found)).close_to(fine.geometry)
    named = [
        g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for g in found.PerFrameFunctionalGroupsSequence
    ]
    slices = [frame.header.SOPInstanceUID for frame in Source.load(folder).slices]
    assert named == [slices[n // 2] for n in range(2 * k)]


def test_the_work_of_a_person_is_not_called_synthetic(tmp_path: Path) -> None:
    folder = Phantom().write(tmp_path / "s")
    labels = labelled(read_series(folder))
    found = segmentation(labels, {2: "lesion"}, [Source.load(folder)], None, **IDENTITY)
    assert_valid(*write([found], tmp_path / "r"))
    assert SYNTHETIC_DATA not in found
    assert {s.SegmentAlgorithmType for s in found.SegmentSequence} == {"MANUAL"}
    assert [s.SegmentLabel for s in found.SegmentSequence] == ["lesion", "label 5"]


@pytest.mark.parametrize("values", [0, 1.5, -1])
def test_what_is_no_label_map_is_refused(values: float, tmp_path: Path) -> None:
    folder = Phantom().write(tmp_path / "s")
    volume = read_series(folder)
    wrong = volume.with_data(np.full(volume.data.shape, values, np.float32))
    with pytest.raises(UnwritableError, match="label map"):
        segmentation(wrong, {}, [Source.load(folder)], TRANSLATED, **IDENTITY)
