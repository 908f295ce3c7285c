"""What a file's header says about its voxels: how many, of which type, where they lie in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from medgan_core.errors import InputError
from medgan_core.volume import Geometry

MAX_VOXELS = 2**29
"""Larger volumes are refused: 537 million voxels, 2 GiB in float32 (a whole-body CT has half of them)."""

Codec = Literal["raw", "gzip", "zlib"]


@dataclass(frozen=True)
class Header:
    """What can be known of a volume without its voxels.

    Args:
        geometry: the grid.
        channels: 1; files with more are refused.
        dtype: type of the voxels as stored, native byte order.
        voxels: number of voxels.
        bytes: what the voxels take uncompressed, as stored.
        notes: what had to be decided or repaired, in sentences.
    """

    geometry: Geometry
    channels: int
    dtype: np.dtype[Any]
    voxels: int
    bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A header, and where and how its voxels are stored; i runs fastest in every format here.

    Args:
        header: of the volume.
        stored: type of the voxels with the file's byte order.
        start: byte of the file at which the voxels, or the compressed stream, begin.
        codec: of the stream that begins there.
        skip: bytes of the decompressed stream before the first voxel.
        compressed: bytes of the compressed stream; None for all that follow.
        slope: voxels are multiplied by it ...
        inter: ... and this is added, when the two are not (1, 0); the result is float32.
    """

    header: Header
    stored: np.dtype[Any]
    start: int
    codec: Codec = "raw"
    skip: int = 0
    compressed: int | None = None
    slope: float = 1.0
    inter: float = 0.0


def spatial_shape(
    sides: Sequence[int], *, file: str, max_voxels: int
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """The (i, j, k) of a header's sides, and notes; trailing sides of 1 are dropped.

    Raises:
        InputError: when a side is not positive, there are several frames, or too many voxels.
    """
    got = " x ".join(map(str, sides))
    if not 2 <= len(sides) <= 7 or min(sides) < 1:
        raise InputError(
            f"{file} does not hold a 3D volume",
            expected="three positive sides",
            got=got or "no sides",
            action="export a single 3D volume",
        )
    frames = math.prod(sides[3:])
    if frames > 1:
        raise InputError(
            f"{file} holds {frames} volumes or channels",
            expected="one 3D volume with one value per voxel",
            got=f"{len(sides)}D: {got}",
            action="export a single frame or channel",
        )
    if math.prod(sides[:3]) > max_voxels:
        raise InputError(
            f"{file} claims more voxels than can be worked on",
            expected=f"at most {max_voxels:,} voxels",
            got=f"{got} = {math.prod(sides[:3]):,}",
            action="crop or resample the volume",
        )
    notes: tuple[str, ...] = ()
    if len(sides) > 3:
        notes = (f"The file is {len(sides)}D with one frame ({got}); it was read as 3D.",)
    if len(sides) == 2:
        notes = (f"The file is 2D ({got}); it was read as a volume of one slice.",)
    i, j, k = (*sides, 1)[:3]
    return (int(i), int(j), int(k)), notes


def header(geometry: Geometry, stored: np.dtype[Any], notes: Sequence[str]) -> Header:
    """A `Header` for one channel on a grid."""
    voxels = math.prod(geometry.shape)
    return Header(
        geometry, 1, stored.newbyteorder("="), voxels, voxels * stored.itemsize, tuple(n for n in notes if n)
    )
