"""Files that are cut, damaged, too large or not of one piece are refused in words; nothing crashes."""

import gzip
import time
import zlib

import nibabel
import numpy as np
import pytest

from medgan_core import io
from medgan_core.errors import InputError
from tests.core.io.bad_files import SUFFIXES, mha, nifti, nrrd, refused, refused_by_header, volume

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
