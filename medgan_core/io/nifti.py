"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz): the header, checked before it is believed."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from medgan_core.errors import InputError
from medgan_core.io import streams
from medgan_core.io.layout import Layout, header, spatial_shape
from medgan_core.io.nifti_place import place
from medgan_core.volume import Geometry

HEADER_1, HEADER_2 = 348, 540
_FLAGS = 4
_MAX_OFFSET = 1 << 26
"""Header extensions larger than 64 MiB are not believed."""
_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_REFUSED = {
    1: "single bits", 32: "complex numbers", 128: "RGB colours", 1536: "128-bit numbers",
    1792: "complex numbers", 2048: "complex numbers", 2304: "RGBA colours",
}  # fmt: skip
PLACEMENT = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
"""The fields that say where voxels are, with pixdim[0..3] and xyzt_units; kept byte for byte."""


def parse(path: Path, *, max_voxels: int) -> Layout:
    """Read and check a header.

    Raises:
        InputError: when this is not one whole 3D volume of real numbers.
    """
    gzipped = streams.is_gzip(path)
    raw, notes = _raw_header(path, gzipped)
    if gzipped != path.name.lower().endswith(".gz"):
        notes.append(f"The file is {'' if gzipped else 'not '}compressed, unlike its name says.")
    shape, shape_notes = spatial_shape(_sides(raw, path), file=path.name, max_voxels=max_voxels)
    stored = _stored_type(raw, path)
    affine, place_notes = place(raw, shape)
    slope, inter = _scaling(raw, notes)
    offset = _offset(raw, path, notes)
    geometry = Geometry(shape, affine, nifti=_as_nifti1(raw).binaryblock)
    found = header(geometry, stored, [*notes, *shape_notes, *place_notes])
    if gzipped:
        return Layout(found, stored, 0, "gzip", offset, slope=slope, inter=inter)
    return Layout(found, stored, offset, slope=slope, inter=inter)


def _raw_header(path: Path, gzipped: bool) -> tuple[Any, list[str]]:
    """A nibabel header from the first bytes, unchecked, and notes."""
    import nibabel  # late: it takes a quarter of a second

    block = streams.head(path, HEADER_2, gzipped=gzipped)
    kinds: tuple[tuple[int, Any, bytes, bytes], ...] = (
        (HEADER_1, nibabel.Nifti1Header, b"n+1", b"ni1"),
        (HEADER_2, nibabel.Nifti2Header, b"n+2", b"ni2"),
    )
    for (size, kind, single, pair), order in product(kinds, "<>"):
        if block[:4] == np.array(size, dtype=f"{order}i4").tobytes() and len(block) >= size:
            raw = kind(block[:size], endianness=order, check=False)
            magic = raw["magic"].tobytes()[:3]
            if magic == pair:
                raise InputError(
                    f"{path.name} keeps its voxels in another file",
                    expected="a single-file NIfTI (.nii, .nii.gz)",
                    got="the header of a .hdr/.img pair",
                    action="save the volume as one .nii or .nii.gz file",
                )
            if magic == single:
                return raw, []
    raise InputError(
        f"{path.name} is not a NIfTI file",
        expected=f"a NIfTI-1 or NIfTI-2 header of {HEADER_1} or {HEADER_2} bytes",
        got=f"{len(block)} bytes" if len(block) < HEADER_1 else "something else",
        action="choose a volume, or export it again",
    )


def _sides(raw: Any, path: Path) -> list[int]:
    dim = [int(n) for n in raw["dim"]]
    if not 1 <= dim[0] <= 7:
        raise InputError(
            f"The header of {path.name} is malformed",
            expected="1 to 7 dimensions",
            got=f"{dim[0]} dimensions",
            action="export the volume again",
        )
    return dim[1 : dim[0] + 1]


def _stored_type(raw: Any, path: Path) -> np.dtype[Any]:
    code = int(raw["datatype"])
    if code not in _TYPES:
        raise InputError(
            f"The voxels of {path.name} are not real numbers",
            expected="one integer or floating-point value of at most 64 bits per voxel",
            got=_REFUSED.get(code, f"the unknown type {code}"),
            action="export a scalar volume (a magnitude image, or one channel)",
        )
    return np.dtype(_TYPES[code]).newbyteorder(raw.endianness)


def _offset(raw: Any, path: Path, notes: list[str]) -> int:
    """Byte of the first voxel in the uncompressed file."""
    offset = float(raw["vox_offset"])
    least = int(raw["sizeof_hdr"]) + _FLAGS
    if math.isfinite(offset) and 0 <= offset < least:
        notes.append(f"The header's data offset ({offset:g}) lies inside of the header; {least} was taken.")
        return least
    if not math.isfinite(offset) or not least <= offset <= _MAX_OFFSET:
        raise InputError(
            f"The header of {path.name} is malformed",
            expected=f"voxels that begin between byte {least} and {_MAX_OFFSET}",
            got=f"{offset:g}",
            action="export the volume again",
        )
    return int(offset)


def _scaling(raw: Any, notes: list[str]) -> tuple[float, float]:
    """Slope and intercept; (1, 0) when there is none: a slope of 0, or NaN as nibabel writes."""
    slope, inter = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        if not (slope == 0 and inter == 0) and not (math.isnan(slope) and (inter == 0 or math.isnan(inter))):
            notes.append(
                f"The header's intensity scaling (slope {slope:g}, intercept {inter:g}) cannot be used; "
                "stored values were taken as they are."
            )
        return 1.0, 0.0
    if not math.isfinite(inter):
        notes.append(f"The header's intensity intercept ({inter:g}) is not finite; 0 was taken.")
        inter = 0.0
    return slope, inter


def _as_nifti1(raw: Any) -> Any:
    """The placement fields in a NIfTI-1 header, byte for byte when they came from one."""
    import nibabel

    if int(raw["sizeof_hdr"]) == HEADER_1:
        return raw
    out = nibabel.Nifti1Header(endianness=raw.endianness, check=False)
    for name in PLACEMENT:
        out[name] = raw[name]
    out["pixdim"][:4] = raw["pixdim"][:4]
    out["xyzt_units"] = raw["xyzt_units"]
    return out
