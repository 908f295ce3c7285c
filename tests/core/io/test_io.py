"""Volumes survive files: voxels bit for bit, corners to a micrometre, and everything said is true."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medgan_core import io
from medgan_core.errors import ResourceError, UsageError
from medgan_core.io.packing import gzip_blocks
from medgan_core.volume import Geometry, Volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
OBLIQUE = np.array(
    [[0.88, -0.21, 0.5, -31.5], [0.25, 1.1, -0.3, 12.25], [-0.11, 0.3, 2.9, 7.0], [0, 0, 0, 1]], dtype=float
)


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def affine(spacing=(1.0, 1.0, 1.0), *, seed: int | None = None, flip: bool = False) -> np.ndarray:
    out = np.eye(4)
    turn = np.eye(3) if seed is None else rotation(seed)
    out[:3, :3] = turn * np.array(spacing) * np.array([-1 if flip else 1, 1, 1])
    out[:3, 3] = (-31.5, 12.25, 7.0)
    return out


AFFINES = {
    "plain": affine(),
    "oblique": affine((0.9, 1.1, 3.0), seed=3),
    "left-handed": affine((0.9, 1.1, 1.0), flip=True),
    "oblique left-handed": affine((1.0, 0.5, 6.0), seed=5, flip=True),
    "fine": affine((0.1, 0.1, 0.1), seed=1),
    "coarse": affine((10.0, 10.0, 10.0), seed=2),
}


def phantom(shape=(6, 7, 5), matrix=None, dtype="float32") -> Volume:
    data = np.random.default_rng(1).normal(100, 40, size=shape).astype(dtype)
    return Volume(data, Geometry(shape, affine() if matrix is None else matrix))


def itk_affine_ras(image: sitk.Image) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    out[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ out


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("matrix", AFFINES.values(), ids=AFFINES.keys())
def test_round_trip_keeps_voxels_and_corners(tmp_path, suffix, matrix):
    volume = phantom(matrix=matrix)
    found = io.read(io.write(volume, tmp_path / f"a{suffix}"))
    assert found.data.dtype == np.float32
    np.testing.assert_array_equal(found.data, volume.data)
    assert found.geometry.close_to(volume.geometry, tolerance_mm=1e-3)
    assert found.notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sheared_grid_round_trip(tmp_path, suffix):
    volume = phantom(matrix=OBLIQUE)
    found = io.read(io.write(volume, tmp_path / f"a{suffix}"))
    assert found.geometry.close_to(volume.geometry, tolerance_mm=1e-3)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float64", "int64"])
def test_types_stay_as_they_are(tmp_path, suffix, dtype):
    volume = phantom(dtype=dtype)
    found = io.read(io.write(volume, tmp_path / f"a{suffix}"))
    assert found.data.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.data, volume.data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_slice_is_a_volume(tmp_path, suffix):
    volume = phantom((6, 7, 1))
    assert io.read(io.write(volume, tmp_path / f"a{suffix}")).geometry.shape == (6, 7, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("matrix", AFFINES.values(), ids=AFFINES.keys())
def test_itk_sees_what_was_written(tmp_path, suffix, matrix):
    volume = phantom(matrix=matrix)
    image = sitk.ReadImage(str(io.write(volume, tmp_path / f"a{suffix}")))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.data[0])
    assert Geometry(volume.geometry.shape, itk_affine_ras(image)).close_to(volume.geometry)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "int64"])
def test_what_itk_writes_is_read_as_itk_reads_it(tmp_path, suffix, packed, dtype):
    data = np.random.default_rng(0).integers(0, 99, size=(4, 5, 6)).astype(dtype)
    image = sitk.GetImageFromArray(data)
    image.SetSpacing((0.9, 1.1, 3.0))
    image.SetOrigin((-20.0, 33.0, 4.5))
    image.SetDirection(rotation(7).ravel().tolist())
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path), useCompression=packed)
    found = io.read(path)
    assert found.data.dtype == data.dtype
    np.testing.assert_array_equal(found.data[0], data.T)
    assert Geometry((6, 5, 4), itk_affine_ras(image)).close_to(found.geometry)


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "LPS", "RAS", "LAS"])
def test_nrrd_spaces_are_read_as_itk_reads_them(tmp_path, space):
    path = tmp_path / "a.nrrd"
    lines = [
        "NRRD0004", "# a comment", "type: short", "dimension: 3", f"space: {space}", "sizes: 2 3 4",
        "space directions: (1,0.1,0) (0,2,0) (0,0,3)", "kinds: domain domain domain", "endian: big",
        "encoding: raw", "space origin: (5,6,7)", "key:=value", "", "",
    ]  # fmt: skip
    voxels = np.arange(24, dtype=">i2")
    path.write_bytes("\n".join(lines).encode() + voxels.tobytes())
    found, image = io.read(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(found.data[0], sitk.GetArrayFromImage(image).T)
    assert found.data.dtype.isnative
    assert Geometry((2, 3, 4), itk_affine_ras(image)).close_to(found.geometry)


def test_nrrd_in_micrometres_is_converted_with_a_note(tmp_path):
    path = tmp_path / "a.nrrd"
    lines = [
        "NRRD0005", "type: uchar", "dimension: 3", "space: left-posterior-superior", "sizes: 2 2 2",
        "space directions: (500,0,0) (0,500,0) (0,0,500)", 'space units: "um" "um" "um"', "encoding: raw",
        "space origin: (1000,0,0)", "", "",
    ]  # fmt: skip
    path.write_bytes("\n".join(lines).encode() + bytes(8))
    found = io.read(path)
    assert found.geometry.spacing == pytest.approx((0.5, 0.5, 0.5))
    assert found.geometry.affine[0, 3] == pytest.approx(-1.0)
    assert "um" in found.notes[0]


def test_nrrd_with_one_frame_is_squeezed_with_a_note(tmp_path):
    path = tmp_path / "a.nrrd"
    lines = [
        "NRRD0005", "type: uchar", "dimension: 4", "space: left-posterior-superior", "sizes: 1 2 3 4",
        "space directions: none (1,0,0) (0,1,0) (0,0,1)", "encoding: raw", "space origin: (0,0,0)", "", "",
    ]  # fmt: skip
    path.write_bytes("\n".join(lines).encode() + bytes(range(24)))
    found = io.read(path)
    np.testing.assert_array_equal(found.data[0], np.arange(24).reshape((2, 3, 4), order="F"))
    assert "one frame" in found.notes[0]


def placement_bytes(path: Path) -> bytes:
    block = path.read_bytes()[:348]
    # pixdim[0..3], xyzt_units, then qform_code to srow_z of the NIfTI-1 standard
    return block[76:92] + block[123:124] + block[252:328]


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_to_nifti_keeps_qform_and_sform_byte_for_byte(tmp_path, order):
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), None, header)
    image.set_qform(affine((0.9, 1.1, 3.0), seed=3), code=1)
    image.set_sform(affine((0.9, 1.1, 3.0), seed=3) + 1e-3, code=4)
    image.header.set_xyzt_units("mm", "sec")
    source, copy = tmp_path / "a.nii", tmp_path / "b.nii"
    nibabel.save(image, source)
    volume = io.read(source)
    io.write(volume.with_data(volume.data.astype(np.float32)), copy)
    assert placement_bytes(copy) == placement_bytes(source)
    np.testing.assert_array_equal(io.read(copy).geometry.affine, volume.geometry.affine)


def test_header_bytes_of_another_grid_are_not_written(tmp_path):
    volume = io.read(io.write(phantom(), tmp_path / "a.nii"))
    moved = np.array(volume.geometry.affine)
    moved[:3, 3] += 5
    other = Volume(volume.data, Geometry(volume.geometry.shape, moved, nifti=volume.geometry.nifti))
    found = io.read(io.write(other, tmp_path / "b.nii"))
    assert found.geometry.close_to(other.geometry)


def test_nifti2_is_read_and_written_as_nifti1(tmp_path):
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti2Image(data, AFFINES["oblique"]), tmp_path / "a.nii")
    found = io.read(tmp_path / "a.nii")
    np.testing.assert_array_equal(found.data[0], data)
    np.testing.assert_allclose(found.geometry.affine, AFFINES["oblique"], atol=1e-6)
    again = nibabel.load(io.write(found, tmp_path / "b.nii"))
    assert isinstance(again, nibabel.Nifti1Image)
    np.testing.assert_allclose(again.affine, AFFINES["oblique"], atol=1e-4)


def test_scaling_gives_float32(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, -3.0)
    nibabel.save(image, tmp_path / "a.nii")
    found = io.read(tmp_path / "a.nii")
    assert found.data.dtype == np.float32
    np.testing.assert_allclose(found.data[0], nibabel.load(tmp_path / "a.nii").get_fdata(), rtol=1e-6)


def test_extension_before_the_voxels_is_skipped(tmp_path):
    volume = phantom()
    for suffix in (".nii", ".nii.gz"):
        path = io.write(volume, tmp_path / f"a{suffix}", metadata={"note": "x" * 5000})
        np.testing.assert_array_equal(io.read(path).data, volume.data)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_metadata_travels_in_nifti(tmp_path, suffix):
    metadata = {"model": "toy 1.0", "synthetic": "true", "place": "Würzburg\nline two"}
    path = io.write(phantom(), tmp_path / f"a{suffix}", metadata=metadata)
    (extension,) = nibabel.load(path).header.extensions
    assert extension.get_code() == 6
    assert json.loads(extension.get_content().decode().rstrip("\0")) == metadata


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_metadata_travels_in_nrrd_and_mha(tmp_path, suffix):
    text = json.dumps({"plan": ["a"] * 2000})
    path = io.write(phantom(), tmp_path / f"a{suffix}", metadata={"MedGAN.provenance": text})
    image = sitk.ReadImage(str(path))
    assert image.GetMetaData("MedGAN.provenance") == text
    np.testing.assert_array_equal(io.read(path).data, phantom().data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_header_agrees_with_the_volume(tmp_path, suffix):
    volume = phantom(matrix=AFFINES["oblique"], dtype="int16")
    path = io.write(volume, tmp_path / f"a{suffix}")
    header = io.read_header(path)
    assert header.geometry.close_to(volume.geometry)
    assert (header.channels, header.dtype, header.voxels, header.bytes) == (1, np.dtype("int16"), 210, 420)


def test_header_needs_no_voxels(tmp_path):
    path = io.write(phantom((64, 64, 64)), tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:800_000])
    assert io.read_header(path).geometry.shape == (64, 64, 64)


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path):
    path = io.write(phantom(), tmp_path / "a.nii")
    before = path.read_bytes()
    too_long = Volume(np.zeros((40000, 1, 1), np.float32), Geometry((40000, 1, 1), np.eye(4)))
    with pytest.raises(UsageError):
        io.write(too_long, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_into_no_folder_is_a_clear_error(tmp_path, suffix):
    with pytest.raises(ResourceError, match="could not be written"):
        io.write(phantom(), tmp_path / "missing" / f"a{suffix}")


def test_unknown_ending_and_several_channels_are_refused(tmp_path):
    with pytest.raises(UsageError):
        io.write(phantom(), tmp_path / "a.png")
    with pytest.raises(UsageError):
        io.write(Volume(np.zeros((2, 3, 3, 3)), Geometry((3, 3, 3), np.eye(4))), tmp_path / "a.nii")


@pytest.mark.parametrize("size", [0, 1, 2**21, 5 * 2**21 + 17])
def test_parallel_gzip_is_ordinary_gzip(size):
    data = np.random.default_rng(0).integers(0, 9, size=size, dtype=np.uint8).tobytes()
    assert gzip.decompress(b"".join(gzip_blocks([b"head", memoryview(data)]))) == b"head" + data


def test_writing_twice_gives_the_same_bytes(tmp_path):
    first = io.write(phantom(), tmp_path / "a.nii.gz").read_bytes()
    assert io.write(phantom(), tmp_path / "b.nii.gz").read_bytes() == first
