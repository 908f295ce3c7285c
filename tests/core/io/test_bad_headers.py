"""Wrong headers are refused in words, unusual ones read with a note; nothing crashes."""

import struct

import nibabel
import numpy as np
import pytest

from medgan_core import io
from tests.core.io.bad_files import AFFINE, mha, nifti, nrrd, refused_by_header

# --- dimensions and voxel types ---------------------------------------------------------------------


def test_4d_with_one_frame_is_squeezed_with_a_note(tmp_path):
    found = io.read(nifti(tmp_path / "a.nii", shape=(5, 6, 7, 1)))
    assert found.data.shape == (1, 5, 6, 7)
    assert "one frame" in found.notes[0]


def test_4d_is_refused(tmp_path):
    refused_by_header(nifti(tmp_path / "a.nii", shape=(5, 6, 7, 3)), "3 volumes")
    vector = {"space_directions": "none (1,0,0) (0,1,0) (0,0,1)", "dimension": "4", "sizes": "3 2 3 4"}
    refused_by_header(nrrd(tmp_path / "a.nrrd", bytes(72), **vector), "3 volumes")
    refused_by_header(mha(tmp_path / "a.mha", bytes(72), ElementNumberOfChannels="3"), "3 volumes")


def test_malformed_5d_nifti_is_refused(tmp_path):
    """370 bytes that end the process of a reader that believes them."""
    path = nifti(tmp_path / "a.nii", shape=(5, 6, 7, 1, 3), body=bytes(18))
    assert path.stat().st_size == 370
    refused_by_header(path)
    refused_by_header(nifti(tmp_path / "a.nii", dim=[5, 5, 6, 7, 0, -3, 1, 1], body=bytes(18)))
    refused_by_header(nifti(tmp_path / "a.nii", dim=[30000, 5, 6, 7, 1, 1, 1, 1], body=bytes(18)))


@pytest.mark.parametrize("sides", [(0, 6, 7), (5, -6, 7), (5,)])
def test_sides_that_are_not_positive(tmp_path, sides):
    refused_by_header(nifti(tmp_path / "a.nii", shape=sides, body=bytes(1000)))


def test_one_slice_in_2d_is_read_with_a_note(tmp_path):
    found = io.read(nifti(tmp_path / "a.nii", shape=(5, 6)))
    assert found.geometry.shape == (5, 6, 1)
    assert "one slice" in found.notes[0]


def test_rgb_and_complex_are_refused(tmp_path):
    rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    assert "RGB" in refused_by_header(tmp_path / "a.nii", "real numbers").got
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)), tmp_path / "a.nii")
    assert "complex" in refused_by_header(tmp_path / "a.nii", "real numbers").got
    refused_by_header(nrrd(tmp_path / "a.nrrd", type="block"), "real numbers")
    refused_by_header(mha(tmp_path / "a.mha", ElementType="MET_UCHAR_ARRAY"), "real numbers")


def test_not_finite_voxels_become_zero_with_a_count(tmp_path):
    body = np.arange(210, dtype="f4")
    body[[3, 5, 7]] = np.nan, np.inf, -np.inf
    found = io.read(nifti(tmp_path / "a.nii", body=body.tobytes()))
    assert found.data.ravel(order="F")[[3, 5, 7]].tolist() == [0, 0, 0]
    assert np.isfinite(found.data).all()
    assert found.data.ravel(order="F")[8] == 8
    assert found.notes[0].startswith("3 voxels")


# --- placing -----------------------------------------------------------------------------------------


def placed(path) -> tuple[np.ndarray, str]:
    found = io.read(path)
    return found.geometry.affine, " ".join(found.notes)


def test_a_plain_header_needs_no_note(tmp_path):
    matrix, note = placed(nifti(tmp_path / "a.nii"))
    np.testing.assert_allclose(matrix, AFFINE)
    assert note == ""


def test_singular_sform_gives_way_to_the_qform(tmp_path):
    matrix, note = placed(nifti(tmp_path / "a.nii", srow_x=0, srow_y=0, srow_z=0))
    np.testing.assert_allclose(matrix, AFFINE)
    assert "sform" in note
    assert "not used" in note


def test_singular_without_another_is_refused(tmp_path):
    refused_by_header(nifti(tmp_path / "a.nii", srow_x=0, qform_code=0), "singular")
    refused_by_header(nifti(tmp_path / "a.nii", sform_code=0, quatern_b=9), "singular")
    refused_by_header(nrrd(tmp_path / "a.nrrd", space_directions="(1,0,0) (1,0,0) (0,0,1)"), "singular")
    refused_by_header(mha(tmp_path / "a.mha", TransformMatrix="1 0 0 1 0 0 0 0 1"), "singular")


def test_codes_of_zero_follow_analyze_and_nibabel(tmp_path):
    path = nifti(tmp_path / "a.nii", sform_code=0, qform_code=0)
    matrix, note = placed(path)
    np.testing.assert_allclose(matrix, nibabel.load(path).affine)
    assert "no orientation" in note
    assert "left and right" in note


def test_voxel_sizes_that_are_not_positive(tmp_path):
    for value, used in ((0, 1), (-2, 2), (np.nan, 1)):
        matrix, note = placed(nifti(tmp_path / "a.nii", sform_code=0, pixdim1=value))
        assert matrix[0, 0] == used
        assert "not all positive" in note


def test_sform_that_contradicts_the_voxel_sizes_or_the_qform_wins_with_a_note(tmp_path):
    matrix, note = placed(nifti(tmp_path / "a.nii", pixdim1=5))
    np.testing.assert_allclose(matrix, AFFINE)
    assert "sform was used" in note
    matrix, note = placed(nifti(tmp_path / "a.nii", qoffset_x=50))
    np.testing.assert_allclose(matrix, AFFINE)
    assert "40 apart" in note


@pytest.mark.parametrize(("code", "factor"), [(1, 1000.0), (3, 0.001)])
def test_metres_and_micrometres_become_mm(tmp_path, code, factor):
    matrix, note = placed(nifti(tmp_path / "a.nii", xyzt_units=code))
    np.testing.assert_allclose(matrix[:3], AFFINE[:3] * factor)
    assert "converted to mm" in note


def test_converted_units_survive_writing(tmp_path):
    source = io.read(nifti(tmp_path / "a.nii", xyzt_units=3))
    found = io.read(io.write(source, tmp_path / "b.nii"))
    assert found.geometry.close_to(source.geometry, tolerance_mm=1e-9)


def test_handedness_of_zero_counts_as_one(tmp_path):
    matrix, note = placed(nifti(tmp_path / "a.nii", sform_code=0, pixdim0=0))
    np.testing.assert_allclose(matrix, AFFINE)
    assert "qfac" in note
    matrix, note = placed(nifti(tmp_path / "a.nii", sform_code=0, pixdim0=-1))
    np.testing.assert_allclose(matrix[:, 2], -AFFINE[:, 2])
    assert note == ""


@pytest.mark.parametrize(
    ("slope", "inter", "noted"),
    [(0, 0, False), (np.nan, np.nan, False), (0, 5, True), (np.inf, 0, True), (2, np.nan, True)],
)
def test_scaling_that_cannot_be_used(tmp_path, slope, inter, noted):
    found = io.read(nifti(tmp_path / "a.nii", dtype="i2", scl_slope=slope, scl_inter=inter))
    assert bool(found.notes) == noted
    assert found.data.max() == (418 if slope == 2 else 209)


def test_data_offset_inside_of_the_header_is_repaired(tmp_path):
    found = io.read(nifti(tmp_path / "a.nii", vox_offset=0))
    assert found.data.max() == 209
    assert "offset" in found.notes[0]
    for offset in (np.nan, -5, 1e30):
        refused_by_header(nifti(tmp_path / "a.nii", vox_offset=offset), "malformed")


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": "2 nan 4"}, {"sizes": "2 3 inf"}, {"sizes": "2 3"}, {"sizes": ""}, {"type": "text"},
        {"encoding": "hex"}, {"encoding": None}, {"space": "moon"}, {"space_origin": "(1,2)"},
        {"endian": "odd"},
        {"space_directions": "(1,0) (0,1) (1,1)"}, {"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"},
        {"dimension": "2"},
    ],
    ids=str,
)  # fmt: skip
def test_malformed_nrrd_headers(tmp_path, changes):
    refused_by_header(nrrd(tmp_path / "a.nrrd", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"DimSize": "2 x 4"}, {"DimSize": "2 nan 4"}, {"DimSize": ""}, {"NDims": "2"},
        {"BinaryData": "False"},
        {"ElementSpacing": "1 1"}, {"ElementSpacing": "0 1 1"}, {"TransformMatrix": "1"},
        {"Offset": "inf 0 0"},
        {"HeaderSize": "-1"}, {"ObjectType": "Mesh"},
    ],
    ids=str,
)  # fmt: skip
def test_malformed_mha_headers(tmp_path, changes):
    refused_by_header(mha(tmp_path / "a.mha", **changes))


def test_nifti2_that_lies_is_refused(tmp_path):
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti2Image(np.zeros((3, 4, 5), np.float32), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[16:48] = struct.pack("<4q", 3, 2**40, 2**40, 2**40)
    path.write_bytes(content)
    refused_by_header(path, "more voxels")
