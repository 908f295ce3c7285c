"""NIfTI-1 single files out, with the source's own qform and sform when there are any."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError, UsageError
from medgan_core.io.nifti import PLACEMENT
from medgan_core.io.nifti_place import place
from medgan_core.io.packing import gzip_blocks
from medgan_core.volume import Geometry, Volume

_COMMENT = 6
_MAX_SIDE = 2**15 - 1
_SLICES = 16  # as many float32 values as a line of the cache holds


def write(volume: Volume, path: Path, metadata: dict[str, str]) -> None:
    """Write a checked volume of one channel; compressed when the name ends in .gz.

    Raises:
        UsageError: when a side is longer than NIfTI-1 can hold.
    """
    if max(volume.geometry.shape) > _MAX_SIDE:
        raise UsageError(
            "The volume is too long for NIfTI-1",
            expected=f"sides of at most {_MAX_SIDE} voxels",
            got=str(volume.geometry.shape),
            action="write it as .nrrd",
        )
    raw = _header(volume.geometry)
    order = raw.endianness
    stored = volume.data.dtype.newbyteorder(order)
    extension = _extension(metadata, order)
    raw.set_data_dtype(stored)
    raw.set_data_shape(volume.geometry.shape)
    raw["vox_offset"] = 348 + len(extension)
    raw["scl_slope"], raw["scl_inter"] = 1.0, 0.0
    raw["magic"] = b"n+1"
    raw["descrip"] = b"MedGAN"
    parts = itertools.chain([raw.binaryblock + extension], _blocks(volume.data[0], stored))
    with path.open("wb") as out:
        for piece in gzip_blocks(parts) if path.suffix == ".gz" else parts:
            out.write(piece)


def _blocks(array: NDArray[Any], stored: np.dtype[Any]) -> Iterator[memoryview]:
    """The voxels as they lie in the file, first axis fastest, in blocks that fit into a processor's cache."""
    upright = array.T
    for start in range(0, len(upright), _SLICES):
        block = np.ascontiguousarray(upright[start : start + _SLICES], dtype=stored)
        yield block.reshape(-1).view(np.uint8).data


def _header(geometry: Geometry) -> Any:
    """A header that places the volume: with the source's bytes where they still hold."""
    import nibabel

    if geometry.nifti is not None and (kept := _kept(geometry)) is not None:
        return kept
    raw = nibabel.Nifti1Header(check=False)
    raw.set_data_shape(geometry.shape)
    raw.set_sform(geometry.affine, code=1)
    raw.set_qform(geometry.affine, code=1, strip_shears=True)
    rebuilt, _ = place(_only_qform(raw), geometry.shape)
    if not Geometry(geometry.shape, rebuilt).close_to(geometry, tolerance_mm=1e-2):
        raw["qform_code"] = 0  # a sheared grid: the qform cannot say it
    raw.set_xyzt_units("mm")
    return raw


def _kept(geometry: Geometry) -> Any | None:
    """The source's placement fields in a fresh header; None when they place another grid."""
    import nibabel

    source = _parsed(cast(bytes, geometry.nifti))
    raw = nibabel.Nifti1Header(endianness=source.endianness, check=False)
    raw.set_data_shape(geometry.shape)
    for name in (*PLACEMENT, "xyzt_units"):
        raw[name] = source[name]
    raw["pixdim"][:4] = source["pixdim"][:4]
    try:
        same = Geometry(geometry.shape, place(raw, geometry.shape)[0]).close_to(geometry)
    except InputError:
        return None
    return raw if same else None


def _parsed(block: bytes) -> Any:
    import nibabel

    order = "<" if block[:4] == np.array(348, dtype="<i4").tobytes() else ">"
    return nibabel.Nifti1Header(block, endianness=order, check=False)


def _only_qform(raw: Any) -> Any:
    probe = raw.copy()
    probe["sform_code"] = 0
    return probe


def _extension(metadata: dict[str, str], order: str) -> bytes:
    """The four flag bytes and, when there is metadata, one comment extension with it as JSON."""
    if not metadata:
        return b"\0\0\0\0"
    text = json.dumps(metadata, ensure_ascii=False).encode("utf-8")
    size = -(-(8 + len(text)) // 16) * 16
    lead = np.array([size, _COMMENT], dtype=f"{order}i4").tobytes()
    return b"\1\0\0\0" + lead + text.ljust(size - 8, b"\0")
