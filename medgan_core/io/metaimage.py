"""MetaImage with its data attached (.mha): the header, checked before it is believed.

Definition: https://itk.org/Wiki/ITK/MetaIO/Documentation. A header that names another file for its voxels
could name any file on the machine, so it is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io.layout import Layout, header, spatial_shape
from medgan_core.io.spaces import affine_from, swap
from medgan_core.volume import Geometry

_MAX_HEADER = 1 << 20
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_ORIGIN = ("offset", "position", "origin")
_MATRIX = ("transformmatrix", "rotation", "orientation")


def parse(path: Path, *, max_voxels: int) -> Layout:
    """Read and check a header.

    Raises:
        InputError: when this is not one whole 3D volume of real numbers in one file.
    """
    fields, start = _fields(path)
    if fields["elementdatafile"].upper() != "LOCAL":
        raise InputError(
            f"{path.name} keeps its voxels in another file",
            expected="a MetaImage with ElementDataFile = LOCAL (.mha)",
            got=f"ElementDataFile = {fields['elementdatafile'][:80]}",
            action="save the volume as one .mha file",
        )
    sides = _whole_numbers(fields, "dimsize", path)
    if fields.get("ndims", "") != str(len(sides)):
        raise _malformed(path, f"NDims = {len(sides)}", fields.get("ndims", "none"))
    channels = _whole_numbers(fields, "elementnumberofchannels", path, "1")[0]
    if channels != 1:
        sides = [*sides, *[1] * (3 - len(sides)), channels]
    shape, notes = spatial_shape(sides, file=path.name, max_voxels=max_voxels)
    if int(fields["ndims"]) < 3:
        raise _malformed(path, "NDims = 3", fields["ndims"])
    stored = _stored_type(fields, path)
    geometry = Geometry(shape, swap(_affine_lps(fields, len(sides), path)))
    found = header(geometry, stored, notes)
    if _true(fields, "compresseddata"):
        size = fields.get("compresseddatasize")
        count = _whole_numbers(fields, "compresseddatasize", path)[0] if size else None
        return Layout(found, stored, start, "zlib", compressed=count)
    return Layout(found, stored, start)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name, and the byte at which the voxels begin."""
    with path.open("rb") as stream:
        block = stream.read(_MAX_HEADER)
    fields: dict[str, str] = {}
    at = 0
    while "elementdatafile" not in fields:
        end = block.find(b"\n", at)
        key, equals, value = block[at:end].decode("utf-8", errors="replace").partition("=")
        if end < 0 or not equals:
            raise InputError(
                f"{path.name} is not a MetaImage file",
                expected="lines KEY = VALUE up to ElementDataFile",
                got=repr(block[at : at + 40]) if block else "an empty file",
                action="choose a volume, or export it again",
            )
        fields[key.strip().lower()] = value.strip()
        at = end + 1
    if fields.get("objecttype", "Image").lower() != "image":
        raise _malformed(path, "ObjectType = Image", fields["objecttype"])
    if fields.get("headersize", "0") not in ("0", str(at)):
        raise _malformed(path, "no HeaderSize", fields["headersize"])
    return fields, at


def _stored_type(fields: dict[str, str], path: Path) -> np.dtype[Any]:
    name = fields.get("elementtype", "").upper()
    if name not in _TYPES:
        raise InputError(
            f"The voxels of {path.name} are not real numbers",
            expected="one integer or floating-point value per voxel",
            got=f"ElementType = {name or 'missing'}",
            action="export a scalar volume",
        )
    if not _true(fields, "binarydata"):
        raise _malformed(path, "BinaryData = True", fields.get("binarydata", "none"))
    big = _true(fields, "binarydatabyteordermsb") or _true(fields, "elementbyteordermsb")
    return np.dtype(_TYPES[name]).newbyteorder(">" if big else "<")


def _affine_lps(fields: dict[str, str], dims: int, path: Path) -> NDArray[np.float64]:
    """Rows of TransformMatrix are the directions of the axes, so it is transposed."""
    dims = min(dims, int(fields["ndims"]))
    spacing_key = "elementspacing" if "elementspacing" in fields else "elementsize"
    spacing = np.array(_numbers(fields, spacing_key, path, " ".join(["1"] * dims)))
    origin_key = next((key for key in _ORIGIN if key in fields), "offset")
    origin = np.array(_numbers(fields, origin_key, path, " ".join(["0"] * dims)))
    matrix_key = next((key for key in _MATRIX if key in fields), "transformmatrix")
    unit = " ".join(f"{n:g}" for n in np.eye(dims).ravel())
    matrix = np.array(_numbers(fields, matrix_key, path, unit))
    if spacing.size != dims or origin.size != dims or matrix.size != dims * dims:
        raise _malformed(path, f"spacing, offset and matrix for {dims} axes", "other numbers of values")
    directions = matrix.reshape(dims, dims).T[:3, :3]
    return affine_from(directions * spacing[:3], origin[:3])


def _true(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "False").lower() in ("true", "1")


def _numbers(fields: dict[str, str], key: str, path: Path, default: str = "") -> list[float]:
    text = fields.get(key, default)
    try:
        numbers = [float(n) for n in text.split()]
    except ValueError as error:
        raise _malformed(path, f"numbers for {key}", text[:80]) from error
    if not numbers or not np.isfinite(numbers).all():
        raise _malformed(path, f"numbers for {key}", text[:80])
    return numbers


def _whole_numbers(fields: dict[str, str], key: str, path: Path, default: str = "") -> list[int]:
    numbers = _numbers(fields, key, path, default)
    if any(n < 0 or n != int(n) for n in numbers):
        raise _malformed(path, f"whole numbers for {key}", fields.get(key, default)[:80])
    return [int(n) for n in numbers]


def _malformed(path: Path, expected: str, got: str) -> InputError:
    return InputError(
        f"The header of {path.name} cannot be worked with",
        expected=expected,
        got=got or "none",
        action="export the volume again",
    )
