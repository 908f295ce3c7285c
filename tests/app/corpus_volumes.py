"""Files that are not one whole, plain volume: cut, lying, swollen, climbing, of another kind, or just odd."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import nibabel
import numpy as np

from tests.app.corpus import FORM, Case, form

SHAPE = (12, 11, 10)
_VOXELS = np.random.default_rng(0).normal(500, 90, SHAPE).astype("<f4").tobytes(order="F")
_REQUEST = ("request", None, b'{"model": "toy-denoise"}')
# Each kind of place that takes a volume, in turn.
_PLACES = (
    ("POST", "/jobs", "image", (_REQUEST,)),
    ("POST", "/infer/toy-denoise?output=json", "file", ()),
    ("PUT", "/datastore/image?image=corpus", "file", ()),
    ("PUT", "/datastore/label?image=head&tag=corpus", "label", ()),
    ("PUT", "/session/", "files", ()),
)

_NRRD: dict[str, str | None] = {
    "type": "float",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "12 11 10",
    "space directions": "(15,0,0) (0,15,0) (0,0,15)",
    "space origin": "(0,0,0)",
    "encoding": "raw",
    "endian": "little",
}
_MHA: dict[str, str | None] = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "15 15 15",
    "DimSize": "12 11 10",
    "ElementType": "MET_FLOAT",
}


def volume_cases() -> Iterator[Case]:
    """Files whose header shows what is wrong to each place in turn, others to where they are read."""
    for places, files in (
        (_PLACES, [*_nifti(), *_cut(), *_gzip(), *_nrrd(), *_mha(), *_noise()]),
        # A session takes slices of a DICOM series, whatever they are called.
        (_PLACES[:4], [*_other_kinds()]),
        (_PLACES[:2], [*_hidden()]),
    ):
        for number, (name, filename, content) in enumerate(files):
            method, target, part, parts = places[number % len(places)]
            body = form(*parts, (part, filename, content))
            yield Case(f"{name} to {target.split('?')[0]}", method, target, FORM, body)
    for name, filename, content in _odd():
        body = form(_REQUEST, ("image", filename, content))
        yield Case(f"{name} as a job", "POST", "/jobs", FORM, body, refused=False)


File = tuple[str, str, bytes]


def _header(shape: tuple[int, ...] = SHAPE, **fields: Any) -> bytes:
    header = nibabel.Nifti1Header(check=False)
    header.set_data_dtype(np.float32)
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["pixdim"] = [1, 15, 15, 15, 1, 1, 1, 1]
    header["srow_x"], header["srow_y"], header["srow_z"] = np.diag([15.0, 15, 15, 1])[:3]
    header["sform_code"], header["xyzt_units"], header["scl_slope"] = 1, 2, 1
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4)


def _nifti() -> Iterator[File]:
    nan, inf = float("nan"), float("inf")
    wrong: dict[str, dict[str, Any]] = {
        "more voxels than bytes": {"dim": [3, 120, 110, 100, 1, 1, 1, 1]},
        "sides of 32767": {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
        "seven sides of 32767": {"dim": [7, *[32767] * 7]},
        "a negative side": {"dim": [3, -12, 11, 10, 1, 1, 1, 1]},
        "a side of zero": {"dim": [3, 12, 0, 10, 1, 1, 1, 1]},
        "no dimensions": {"dim": [0, 12, 11, 10, 1, 1, 1, 1]},
        "eight dimensions": {"dim": [8, 12, 11, 10, 1, 1, 1, 1]},
        "minus three dimensions": {"dim": [-3, 12, 11, 10, 1, 1, 1, 1]},
        "one dimension": {"dim": [1, 1320, 1, 1, 1, 1, 1, 1]},
        "four dimensions": {"dim": [4, 12, 11, 5, 2, 1, 1, 1]},
        "five dimensions": {"dim": [5, 12, 11, 5, 1, 2, 1, 1]},
        "colours": {"datatype": 128, "bitpix": 24},
        "colours with alpha": {"datatype": 2304, "bitpix": 32},
        "complex numbers": {"datatype": 32, "bitpix": 64},
        "bits": {"datatype": 1, "bitpix": 1},
        "no type": {"datatype": 0},
        "an unknown type": {"datatype": 999},
        "wide floats": {"datatype": 1536, "bitpix": 128},
        "voxels inside of the header": {"vox_offset": 40},
        "voxels before the file": {"vox_offset": -1000},
        "voxels beyond the file": {"vox_offset": 1e9},
        "voxels nowhere": {"vox_offset": nan},
        "voxels at infinity": {"vox_offset": inf},
        "a pair's magic": {"magic": b"ni1"},
        "no magic": {"magic": b"xyz"},
    }
    for name, fields in wrong.items():
        yield f"nifti with {name}", "a.nii", _header(**fields) + _VOXELS
        if name != "voxels inside of the header":
            yield f"packed nifti with {name}", "a.nii.gz", gzip.compress(_header(**fields) + _VOXELS, 1)
    for size in (0, 347, 540, -1, 2**31 - 1):
        block = struct.pack("<i", size) + _header()[4:] + _VOXELS
        yield f"nifti with a header of {size} bytes", "a.nii", block
    dimensions = struct.pack("<8q", 3, 2**62, 2**62, 2**62, 1, 1, 1, 1)
    second = struct.pack("<i8shh", 540, b"n+2\0\r\n\032\n", 16, 32) + dimensions
    yield "nifti-2 with sides of 2^62", "a.nii", second.ljust(544, b"\0") + _VOXELS


def _cut() -> Iterator[File]:
    whole = _header() + _VOXELS
    packed = gzip.compress(whole)
    for length in (0, 1, 3, 4, 100, 347, 348, 351, 352, 1000, len(whole) - 1):
        yield f"nifti cut at {length}", "a.nii", whole[:length]
    for length in (0, 1, 9, 10, 40):
        yield f"packed nifti cut at {length}", "a.nii.gz", packed[:length]


def _gzip() -> Iterator[File]:
    whole = _header() + _VOXELS
    packed = gzip.compress(whole)
    yield "gzip in gzip", "a.nii.gz", gzip.compress(packed)
    yield "zlib in place of gzip", "a.nii.gz", zlib.compress(whole)
    yield "gzip whose flags are reserved", "a.nii.gz", packed[:3] + b"\xff" + packed[4:]
    yield "gzip with an endless name", "a.nii.gz", packed[:3] + b"\x08" + packed[4:10] + b"x" * 300_000
    claim = _header((2000, 2000, 2000))
    yield "a bomb that says what it is", "a.nii.gz", _bomb(claim, 64 << 20)
    yield "a bomb of zeros", "a.nii.gz", _bomb(b"", 256 << 20)
    nrrd = b"NRRD0004\ntype: float\ndimension: 3\nsizes: 2000 2000 2000\nencoding: gzip\n\n"
    yield "a bomb in nrrd", "a.nrrd", nrrd + _bomb(b"", 64 << 20)


def _bomb(head: bytes, size: int) -> bytes:
    """A gzip stream a thousand times smaller than what comes out of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def _text(first: str, fields: dict[str, str | None], between: str, end: str = "") -> bytes:
    lines = [f"{key}{between}{value}" for key, value in fields.items() if value is not None]
    return "\n".join([*([first] if first else []), *lines, end]).encode("utf-8", "surrogateescape")


def _nrrd() -> Iterator[File]:
    wrong: dict[str, dict[str, str | None]] = {
        "another file's voxels": {"data file": "/etc/passwd"},
        "a list of files": {"data file": "LIST"},
        "a pattern of files": {"datafile": "../%03d.raw 1 9 1"},
        "huge sizes": {"sizes": "99999 99999 99999"},
        "sizes beyond 64 bits": {"sizes": "9" * 30 + " 11 10"},
        "a negative size": {"sizes": "-12 11 10"},
        "words as sizes": {"sizes": "twelve eleven ten"},
        "two sizes of three": {"sizes": "12 11"},
        "no sizes": {"sizes": None},
        "no dimension": {"dimension": None},
        "a thousand dimensions": {"dimension": "1000"},
        "no type": {"type": None},
        "blocks": {"type": "block", "block size": "100000000"},
        "an unknown encoding": {"encoding": "rot13"},
        "text in place of numbers": {"encoding": "txt"},
        "bzip2 that is none": {"encoding": "bzip2"},
        "a skip to the end": {"byte skip": "-1", "sizes": "120 110 100"},
        "a huge skip": {"byte skip": "9" * 20},
        "lines to skip without end": {"line skip": "9" * 12},
        "directions that are no numbers": {"space directions": "(nan,0,0) (0,inf,0) (0,0,15)"},
        "directions of one vector": {"space directions": "(15,0,0)"},
        "vectors of colour": {
            "dimension": "4",
            "sizes": "3 12 11 10",
            "kinds": "vector domain domain domain",
        },
    }
    for name, fields in wrong.items():
        yield f"nrrd with {name}", "a.nrrd", _text("NRRD0004", _NRRD | fields, ": ", "\n") + _VOXELS
    yield "nrrd without end of header", "a.nrrd", b"NRRD0004\n" + b"k: " + b"x" * 3_000_000
    yield "nrrd of a million fields", "a.nrrd", b"NRRD0004\n" + b"k:=v\n" * 200_000
    yield "nrrd whose header is noise", "a.nrrd", b"NRRD0004\n" + bytes(range(256)) * 50
    yield "nrrd without voxels", "a.nrrd", _text("NRRD0004", _NRRD, ": ", "\n")


def _mha() -> Iterator[File]:
    wrong: dict[str, dict[str, str | None]] = {
        "another file's voxels": {"ElementDataFile": "/etc/passwd"},
        "a list of files": {"ElementDataFile": "LIST"},
        "a climbing file": {"ElementDataFile": "../../secret.raw"},
        "huge sizes": {"DimSize": "99999 99999 99999"},
        "a size of zero": {"DimSize": "12 0 10"},
        "a size with a point": {"DimSize": "12.5 11 10"},
        "no sizes": {"DimSize": None},
        "no dimensions": {"NDims": "0"},
        "a million dimensions": {"NDims": "1000000"},
        "an unknown type": {"ElementType": "MET_SECRET"},
        "three channels": {"ElementNumberOfChannels": "3"},
        "packed voxels of a negative size": {"CompressedData": "True", "CompressedDataSize": "-5"},
        "packed voxels beyond the file": {"CompressedData": "True", "CompressedDataSize": "9" * 15},
        "voxels as text": {"BinaryData": "False"},
        "a singular matrix": {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
        "a matrix that is no number": {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"},
        "a short matrix": {"TransformMatrix": "1 0"},
        "spacing of zero": {"ElementSpacing": "0 15 15"},
    }
    for name, fields in wrong.items():
        whole = _MHA | fields | {"ElementDataFile": fields.get("ElementDataFile", "LOCAL")}
        yield f"mha with {name}", "a.mha", _text("", whole, " = ") + _VOXELS
    yield "mha without end of header", "a.mha", b"ObjectType = Image\n" + b"Comment = " + b"x" * 3_000_000


def _noise() -> Iterator[File]:
    rng = np.random.default_rng(1)
    for suffix in ("nii", "nii.gz", "nrrd", "mha"):
        yield f"noise called {suffix}", f"a.{suffix}", rng.bytes(5000)
        yield f"zeros called {suffix}", f"a.{suffix}", bytes(5000)
        yield f"nothing called {suffix}", f"a.{suffix}", b""


def _other_kinds() -> Iterator[File]:
    whole = _header() + _VOXELS
    for filename in (
        "a.exe",
        "a",
        "",
        ".nii",
        "a.nii.exe",
        "a.nhdr",
        "a.mhd",
        "a.img",
        "a.hdr",
        "a.zip",
        "a.dcm",
        "nii",
        "../../a.png",
        "a.nii\0.png",
        "a.nii/",
        "x" * 5000,
        "\udcff\udcfe",
        "a.n\u0131i",
        "a.nii;b=c.png",
    ):
        yield f"a file called {ascii(filename)[:30]}", filename, b"MZ" + whole
    yield "a picture called nii", "a.nii", b"\x89PNG\r\n\x1a\n" + bytes(2000)
    yield "an archive called nii.gz", "a.nii.gz", b"PK\x03\x04" + bytes(2000)
    yield "a web page called nrrd", "a.nrrd", b"<html><script>alert(1)</script>" * 50
    yield "a pickle called mha", "a.mha", b"cos\nsystem\n(S'true'\ntR." * 50


def _hidden() -> Iterator[File]:
    """Files whose header is right: that something is wrong shows when the voxels are read."""
    packed = gzip.compress(_header() + _VOXELS)
    for length in (300, 1000, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        yield f"packed nifti cut at {length}", "a.nii.gz", packed[:length]
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 16
    yield "packed nifti with a flipped bit", "a.nii.gz", bytes(flipped)
    yield "packed nifti with a wrong sum", "a.nii.gz", packed[:-8] + bytes(4) + packed[-4:]
    inside = gzip.compress(_header(vox_offset=40) + _VOXELS)
    yield "packed nifti with voxels inside of the header", "a.nii.gz", inside
    yield (
        "nrrd with gzip that is none",
        "a.nrrd",
        _text("NRRD0004", _NRRD | {"encoding": "gzip"}, ": ", "\n") + _VOXELS,
    )
    fields = _MHA | {"CompressedData": "True", "ElementDataFile": "LOCAL"}
    yield "mha with packed voxels that are none", "a.mha", _text("", fields, " = ") + _VOXELS


def _odd() -> Iterator[File]:
    """Files a person may well have; each is run, or refused with a reason."""
    voxels = np.frombuffer(_VOXELS, "<f4").copy()
    for name, value in (("not a number", np.nan), ("infinity", np.inf), ("one value", 7.0), ("zero", 0.0)):
        yield f"voxels of {name}", "a.nii", _header() + np.full_like(voxels, value).tobytes()
    voxels[::7] = np.nan
    yield "some voxels not a number", "a.nii", _header() + voxels.tobytes()
    yield "huge voxels", "a.nii", _header() + (np.ones_like(voxels) * 3e38).tobytes()
    yield "one slice", "a.nii", _header((12, 11, 1)) + _VOXELS[: 12 * 11 * 4]
    yield "one voxel", "a.nii", _header((1, 1, 1)) + _VOXELS[:4]
    yield "a stream that is not packed", "a.nii.gz", _header() + _VOXELS
    yield "trailing bytes", "a.nii", _header() + _VOXELS + bytes(1000)
    yield "a name that climbs", "../../../a.nii", _header() + _VOXELS
    yield "a name on a drive", "C:\\\\windows\\\\a.nii", _header() + _VOXELS
    yield "a name of many letters", "x" * 3000 + ".nii", _header() + _VOXELS
    yield "a name in another script", "頭部\u202e.nii", _header() + _VOXELS
    for name, fields in {
        "no place": {"sform_code": 0, "qform_code": 0},
        "a singular place": {"srow_x": [0, 0, 0, 0]},
        "a place that is no number": {"srow_x": [float("nan"), 0, 0, 0]},
        "no voxel size": {"pixdim": [0.0] * 8},
        "a negative voxel size": {"pixdim": [1, -15, -15, -15, 1, 1, 1, 1], "sform_code": 0, "qform_code": 1},
        "unknown units": {"xyzt_units": 63},
        "a slope of zero": {"scl_slope": 0},
        "a slope that is no number": {"scl_slope": float("nan")},
        "a slope of infinity": {"scl_slope": float("inf")},
    }.items():
        yield f"nifti with {name}", "a.nii", _header(**fields) + _VOXELS
