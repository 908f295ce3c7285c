"""Every file that is not one whole volume is refused in words, or read with a note; nothing crashes.

All files are made here, byte by byte where a library would not make them.
"""

import gzip
import struct
import time
import zlib

import nibabel
import numpy as np
import pytest

from medgan_core import io
from medgan_core.errors import InputError
from medgan_core.volume import Geometry, Volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
AFFINE = np.array([[2.0, 0, 0, 10], [0, 3.0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1]])


def volume(shape=(9, 8, 7), dtype="float32") -> Volume:
    data = np.random.default_rng(0).normal(100, 30, size=shape).astype(dtype)
    return Volume(data, Geometry(shape, AFFINE))


def nifti(path, *, shape=(5, 6, 7), dtype="f4", body=None, **fields):
    """A NIfTI-1 file with any header fields, believed or not."""
    header = nibabel.Nifti1Header(check=False)
    header.set_data_dtype(np.dtype(dtype))
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["pixdim"] = [1, 2, 3, 4, 1, 1, 1, 1]
    header["srow_x"], header["srow_y"], header["srow_z"] = AFFINE[:3]
    header["qoffset_x"], header["qoffset_y"], header["qoffset_z"] = AFFINE[:3, 3]
    header["qform_code"] = header["sform_code"] = 1
    header["xyzt_units"] = 2
    header["scl_slope"] = 1
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        if name.startswith("pixdim"):
            header["pixdim"][int(name[6:])] = value
        else:
            header[name] = value
    if body is None:
        body = np.arange(np.prod(shape)).astype(dtype).tobytes()
    content = header.binaryblock + bytes(4) + body
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def nrrd(path, body=bytes(24), **changes):
    fields = {
        "type": "uchar", "dimension": "3", "space": "left-posterior-superior", "sizes": "2 3 4",
        "space directions": "(1,0,0) (0,1,0) (0,0,1)", "encoding": "raw", "space origin": "(0,0,0)",
    } | {key.replace("_", " "): value for key, value in changes.items()}  # fmt: skip
    lines = ["NRRD0004", *(f"{key}: {value}" for key, value in fields.items() if value is not None), "", ""]
    path.write_bytes("\n".join(lines).encode() + body)
    return path


def mha(path, body=bytes(24), **changes):
    fields = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0",
        "ElementSpacing": "1 1 1", "DimSize": "2 3 4", "ElementType": "MET_UCHAR",
    } | changes | {"ElementDataFile": changes.get("ElementDataFile", "LOCAL")}  # fmt: skip
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + body)
    return path


def refused(path, match=None, **options) -> InputError:
    """The error both ways of reading give; it says what was expected, what came and what to do."""
    with pytest.raises(InputError, match=match) as caught:
        io.read(path, **options)
    error = caught.value
    assert all(error.to_dict().values())
    assert error.exit_status == 3
    return error


def refused_by_header(path, match=None, **options):
    with pytest.raises(InputError, match=match):
        io.read_header(path, **options)
    return refused(path, match, **options)


# --- no volume at all -------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    refused_by_header(tmp_path / "a.nii", "no such file")


def test_unknown_format(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    refused_by_header(tmp_path / "a.png", "not in a format")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"hello\n\nworld", bytes(range(256)) * 4])
def test_empty_or_meaningless_file(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    refused_by_header(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_anywhere(tmp_path, suffix):
    path = io.write(volume(), tmp_path / f"a{suffix}")
    content = path.read_bytes()
    for length in (1, 10, 100, len(content) // 2, len(content) - 9, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_flipped_bit_in_the_header_crashes(tmp_path, suffix):
    path = io.write(volume(), tmp_path / f"a{suffix}")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(150):
        broken = bytearray(content)
        for at in rng.integers(0, 360, size=3):
            broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            io.read(path, max_voxels=10**6)
            read += 1
        except InputError:
            continue
    assert read < 150


@pytest.mark.parametrize(
    ("suffix", "whole"), [(".nhdr", ".nrrd"), (".mhd", ".mha"), (".hdr", ".nii"), (".img", ".nii")]
)
def test_detached_files_are_refused_by_name(tmp_path, suffix, whole):
    (tmp_path / f"a{suffix}").write_bytes(b"whatever")
    assert whole in refused_by_header(tmp_path / f"a{suffix}").action


# --- headers that name other files --------------------------------------------------------------------


@pytest.mark.parametrize("key", ["data file", "datafile"])
def test_nrrd_that_names_another_file(tmp_path, key):
    (tmp_path / "secret").write_bytes(bytes(24))
    path = nrrd(tmp_path / "a.nrrd", b"", **{key: str(tmp_path / "secret")})
    refused_by_header(path, "another file")


def test_nrrd_that_skips_is_refused(tmp_path):
    refused_by_header(nrrd(tmp_path / "a.nrrd", byte_skip="-1"), "byte skip")
    refused_by_header(nrrd(tmp_path / "a.nrrd", line_skip="3"), "line skip")


@pytest.mark.parametrize("named", ["secret.raw", "LIST", "/etc/hostname"])
def test_mha_that_names_another_file(tmp_path, named):
    (tmp_path / "secret.raw").write_bytes(bytes(24))
    refused_by_header(mha(tmp_path / "a.mha", b"", ElementDataFile=named), "another file")


def test_nifti_of_a_pair(tmp_path):
    refused_by_header(nifti(tmp_path / "a.nii", magic=b"ni1"), "another file")


# --- sizes ----------------------------------------------------------------------------------------


def test_huge_is_refused_before_memory_is_taken(tmp_path):
    start = time.monotonic()
    refused_by_header(nifti(tmp_path / "a.nii", shape=(32767, 32767, 32767), body=b""), "more voxels")
    refused_by_header(nrrd(tmp_path / "a.nrrd", sizes="99999 99999 99999"), "more voxels")
    refused_by_header(mha(tmp_path / "a.mha", DimSize="99999 99999 99999"), "more voxels")
    assert time.monotonic() - start < 20


def test_the_limit_is_a_parameter(tmp_path):
    path = io.write(volume((4, 4, 4)), tmp_path / "a.nii")
    assert io.read(path, max_voxels=64).geometry.shape == (4, 4, 4)
    refused_by_header(path, "more voxels", max_voxels=63)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_header_that_lies_about_its_size(tmp_path, name):
    refused(nifti(tmp_path / name, shape=(50, 60, 70), body=bytes(4 * 50 * 60 * 70 - 1)), "shorter")


def test_nrrd_and_mha_headers_that_lie_about_their_size(tmp_path):
    refused_by_header(nrrd(tmp_path / "a.nrrd", sizes="2 3 5"), "shorter")
    refused_by_header(mha(tmp_path / "a.mha", DimSize="2 3 5"), "shorter")


def test_few_compressed_bytes_cannot_claim_much(tmp_path):
    """2 GB of claimed voxels in a stream of a few bytes are refused from the header alone."""
    refused_by_header(nifti(tmp_path / "a.nii.gz", shape=(800, 800, 800), body=bytes(100)), "can hold")


def bomb() -> bytes:
    """20 MB of gzip members that expand to 20 GB of zeros: a minute to decompress."""
    return 320 * gzip.compress(bytes(64 << 20), 6)


def test_compressed_bomb_is_stopped_while_decompressing(tmp_path):
    path, members = nifti(tmp_path / "a.nii.gz"), bomb()
    path.write_bytes(path.read_bytes() + members)
    start = time.monotonic()
    refused(path, "expands to more")
    refused(nrrd(tmp_path / "a.nrrd", members, encoding="gzip"), "expands to more")
    assert time.monotonic() - start < 20
    packed = zlib.compress(bytes(50 << 20))
    refused(mha(tmp_path / "a.mha", packed, CompressedData="True"), "expands to more")


# --- compressed streams ---------------------------------------------------------------------------


def test_gzip_checksum_is_compared(tmp_path):
    path = io.write(volume(), tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    refused(path, "damaged")


def test_gzip_cut_before_its_checksum(tmp_path):
    """All voxels are there, only the last eight bytes are missing; nibabel reads this without a word."""
    path = io.write(volume(), tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-8])
    nibabel.load(path).get_fdata()
    refused(path, "cut")


def test_nrrd_gzip_and_mha_zlib_are_checked(tmp_path):
    good = gzip.compress(bytes(range(24)))
    assert io.read(nrrd(tmp_path / "a.nrrd", good, encoding="gzip")).data.max() == 23
    refused(nrrd(tmp_path / "a.nrrd", good[:-8], encoding="gzip"), "cut")
    refused(nrrd(tmp_path / "a.nrrd", good[:-8] + bytes(8), encoding="gzip"), "damaged")
    good = zlib.compress(bytes(range(24)))
    options = {"CompressedData": "True", "CompressedDataSize": str(len(good))}
    assert io.read(mha(tmp_path / "a.mha", good, **options)).data.max() == 23
    refused(mha(tmp_path / "a.mha", good[:-1], **options), "shorter")
    refused(mha(tmp_path / "a.mha", good[:-1] + b"\0", **options), "damaged")


def test_several_gzip_members_are_one_file(tmp_path):
    content = nifti(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(content[:700]) + gzip.compress(content[700:]) + bytes(100))
    np.testing.assert_array_equal(io.read(path).data, io.read(tmp_path / "a.nii").data)


def test_a_name_that_hides_compression_is_noted(tmp_path):
    packed = nifti(tmp_path / "a.nii.gz").rename(tmp_path / "b.nii")
    assert "compressed" in io.read(packed).notes[0]
    plain = nifti(tmp_path / "a.nii").rename(tmp_path / "b.nii.gz")
    assert "not compressed" in io.read(plain).notes[0]


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
