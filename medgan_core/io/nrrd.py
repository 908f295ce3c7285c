"""NRRD with its data attached (.nrrd): the header, checked before it is believed.

Definition: http://teem.sourceforge.net/nrrd/format.html. A header that names another file for its voxels
could name any file on the machine, so it is refused.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io.layout import Codec, Layout, header, spatial_shape
from medgan_core.io.spaces import affine_from, swap
from medgan_core.volume import Geometry

_MAX_HEADER = 1 << 20
_CODECS: dict[str, Codec] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
           "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_NUMPY = {name: code for code, names in _TYPES.items() for name in names}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_UNITS_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "m": 1e3, "meter": 1e3, "metre": 1e3, "cm": 10.0,
    "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "nm": 1e-6,
}  # fmt: skip


def parse(path: Path, *, max_voxels: int) -> Layout:
    """Read and check a header.

    Raises:
        InputError: when this is not one whole 3D volume of real numbers in one file.
    """
    fields, start = _fields(path)
    if "data file" in fields:
        raise InputError(
            f"{path.name} keeps its voxels in another file",
            expected="an NRRD file with its data attached (.nrrd)",
            got=f"data file: {fields['data file'][:80]}",
            action="save the volume as one .nrrd file",
        )
    for key in ("line skip", "byte skip"):
        if _numbers(fields.get(key, "0"), 1, path)[0] != 0:
            raise _malformed(path, f"no {key}", fields[key])
    codec = _CODECS.get(fields.get("encoding", "").lower())
    if codec is None:
        raise _malformed(path, "the encoding raw or gzip", fields.get("encoding", "none"))
    stored = _stored_type(fields, path)
    sizes = _sizes(fields, path)
    if str(len(sizes)) != fields.get("dimension", "").strip():
        raise _malformed(path, f"{fields.get('dimension', 'no')} sizes", fields["sizes"])
    axes, sides = _order(fields, sizes)
    shape, notes = spatial_shape(sides, file=path.name, max_voxels=max_voxels)
    if len(sizes) < 3:
        raise _malformed(path, "three dimensions", str(len(sizes)))
    affine, more = _affine(fields, axes, path)
    found = header(Geometry(shape, affine), stored, (*notes, *more))
    return Layout(found, stored, start, codec)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name, and the byte at which the voxels begin."""
    with path.open("rb") as stream:
        block = stream.read(_MAX_HEADER)
    if not re.match(rb"NRRD000[1-5]\r?\n", block):
        raise InputError(
            f"{path.name} is not an NRRD file",
            expected="a file that begins with NRRD0001 to NRRD0005",
            got=repr(block[:8]) if block else "an empty file",
            action="choose a volume, or export it again",
        )
    end = re.search(rb"\r?\n\r?\n", block)
    if end is None:
        raise _malformed(path, "an empty line behind the header", "none")
    fields: dict[str, str] = {}
    for line in block[: end.start()].decode("utf-8", errors="replace").splitlines()[1:]:
        if not line.startswith("#") and ":=" not in line and ": " in line:
            key, value = line.split(": ", 1)
            key = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}.get(
                key.strip().lower(), key.strip().lower()
            )
            fields[key] = value.strip()
    return fields, end.end()


def _sizes(fields: dict[str, str], path: Path) -> list[int]:
    numbers = _numbers(fields.get("sizes", ""), None, path)
    if not numbers or not np.isfinite(numbers).all():
        raise _malformed(path, "finite sizes", fields.get("sizes", "none"))
    return [int(n) for n in numbers]


def _stored_type(fields: dict[str, str], path: Path) -> np.dtype[Any]:
    code = _NUMPY.get(fields.get("type", "").lower())
    if code is None:
        raise InputError(
            f"The voxels of {path.name} are not real numbers",
            expected="one integer or floating-point value per voxel",
            got=f"type {fields.get('type', 'missing')}",
            action="export a scalar volume",
        )
    endian = fields.get("endian", "little").lower()
    if endian not in ("little", "big"):
        raise _malformed(path, "endian little or big", endian)
    return np.dtype(code).newbyteorder("<" if endian == "little" else ">")


def _order(fields: dict[str, str], sizes: list[int]) -> tuple[list[int], list[int]]:
    """The axes that lie in space, and sides with those first; axes of one sample fall away last."""
    directions = _vectors(fields.get("space directions", ""))
    if len(directions) == len(sizes):
        spatial = [n for n, vector in enumerate(directions) if vector is not None]
    else:
        spatial = list(range(min(3, len(sizes))))
    rest = [n for n in range(len(sizes)) if n not in spatial]
    return spatial, [sizes[n] for n in (*spatial, *rest)]


def _affine(
    fields: dict[str, str], axes: list[int], path: Path
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """RAS affine from the space fields, or from spacings when there is no space, as ITK does."""
    notes: list[str] = []
    directions = [v for v in _vectors(fields.get("space directions", "")) if v is not None]
    if directions:
        if len(directions) != 3 or any(len(v) != 3 for v in directions):
            raise _malformed(path, "three space directions of three numbers", fields["space directions"])
        steps = np.array(directions, dtype=np.float64).T
        origin = _vectors(fields.get("space origin", "")) or [(0.0, 0.0, 0.0)]
        if len(origin) != 1 or origin[0] is None or len(origin[0]) != 3:
            raise _malformed(path, "a space origin of three numbers", fields["space origin"])
        point = np.array(origin[0], dtype=np.float64)
    else:
        notes.append("The file has no space directions; axes were taken to run left, back and up.")
        spacings = _numbers(fields.get("spacings", "1 1 1"), None, path)
        spacings = [spacings[n] if n < len(spacings) else 1.0 for n in axes[:3]]
        if not (np.isfinite(spacings).all() and min(spacings) > 0):
            notes.append(f"The spacings ({fields.get('spacings', '')}) are not all positive; 1 mm was taken.")
            spacings = [s if np.isfinite(s) and s > 0 else 1.0 for s in spacings]
        steps, point = np.diag(spacings), np.zeros(3)
    space = fields.get("space", "").lower()
    if space and space not in _TO_LPS:
        raise _malformed(path, "a space such as left-posterior-superior", space)
    if not space and directions:
        notes.append("The file does not name its space; left-posterior-superior was taken.")
    flip = np.diag(np.array(_TO_LPS.get(space, (1, 1, 1)), dtype=np.float64))
    scale = _unit(fields, notes)
    return swap(affine_from(flip @ steps * scale, flip @ point * scale)), tuple(notes)


def _unit(fields: dict[str, str], notes: list[str]) -> float:
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {""}
    if not units or units == {"mm"}:
        return 1.0
    factors = {_UNITS_MM.get(unit.lower()) for unit in units}
    factor = next(iter(factors)) if len(factors) == 1 else None
    if factor is None:
        notes.append(f"The units of the file ({', '.join(sorted(units))}) are not clear; mm were taken.")
        return 1.0
    if factor != 1.0:
        notes.append(f"The header is in {', '.join(sorted(units))}; it was converted to mm.")
    return factor


def _vectors(text: str) -> list[tuple[float, ...] | None]:
    """Vectors like ``(1,0,0) none (0,1,0)``; None for an axis outside of space."""
    out: list[tuple[float, ...] | None] = []
    for part in re.findall(r"\([^)]*\)|none", text):
        try:
            vector = () if part == "none" else tuple(float(n) for n in part[1:-1].split(","))
        except ValueError:
            return []
        out.append(vector if any(not math.isnan(n) for n in vector) else None)
    return out


def _numbers(text: str, count: int | None, path: Path) -> list[float]:
    try:
        numbers = [float(n) for n in text.split()]
    except ValueError as error:
        raise _malformed(path, "numbers", text[:80]) from error
    if count is not None and len(numbers) != count:
        raise _malformed(path, f"{count} numbers", text[:80])
    return numbers


def _malformed(path: Path, expected: str, got: str) -> InputError:
    return InputError(
        f"The header of {path.name} cannot be worked with",
        expected=expected,
        got=got or "none",
        action="export the volume again, as .nrrd with raw or gzip encoding",
    )
