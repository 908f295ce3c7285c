"""Voxels out of a file: as many bytes as the header claims, neither fewer nor (unbounded) more."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.io.layout import Layout

_CHUNK = 1 << 18
_DEFLATE_RATIO = 1032
"""Deflate cannot expand a byte to more (zlib's technical details: 1032:1)."""
_SLACK = 1 << 20
"""A compressed stream may go on this many bytes behind the voxels before it counts as a bomb."""
_GZIP, _ZLIB = 31, 15
_GZIP_MAGIC = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """True when the file begins like a gzip stream."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def head(path: Path, count: int, *, gzipped: bool) -> bytes:
    """The first `count` bytes of a file or of the gzip stream in it; fewer when there are fewer.

    Raises:
        InputError: when the stream is damaged.
    """
    with path.open("rb") as stream:
        if not gzipped:
            return stream.read(count)
        inflater, out = zlib.decompressobj(_GZIP), b""
        while len(out) < count and not inflater.eof and (chunk := stream.read(4096)):
            try:
                out += inflater.decompress(chunk, count - len(out))
            except zlib.error as error:
                raise damaged(path, str(error)) from error
    return out


def voxels(path: Path, layout: Layout) -> NDArray[Any]:
    """All voxels in the file's order, native byte order, one axis.

    Raises:
        InputError: when bytes are missing, the stream is damaged or cut, or it goes on and on.
    """
    count = layout.header.voxels
    check_room(path, layout)
    if layout.codec == "raw":
        with path.open("rb") as stream:
            stream.seek(layout.start)
            array = np.fromfile(stream, dtype=layout.stored, count=count)
        if array.size < count:
            raise too_short(path, layout.header.bytes, array.nbytes)
    else:
        array = np.empty(count, dtype=layout.stored)
        with path.open("rb") as stream:
            stream.seek(layout.start)
            _inflate(stream, array.view(np.uint8).data, layout, path)
    return array if array.dtype.isnative else array.astype(layout.header.dtype)


def check_room(path: Path, layout: Layout) -> None:
    """Compare the size the header claims with the bytes there, before memory is taken."""
    there = path.stat().st_size - layout.start
    if layout.codec == "raw":
        if there < layout.header.bytes:
            raise too_short(path, layout.header.bytes, max(there, 0))
        return
    if layout.compressed is not None and there < layout.compressed:
        raise too_short(path, layout.compressed, there)
    if layout.header.bytes + layout.skip > there * _DEFLATE_RATIO:
        raise InputError(
            f"{path.name} claims more voxels than its compressed bytes can hold",
            expected=f"{layout.header.bytes:,} bytes of voxels",
            got=f"{there:,} compressed bytes, which hold at most {there * _DEFLATE_RATIO:,}",
            action="export the volume again",
        )


def _inflate(stream: BinaryIO, out: memoryview, layout: Layout, path: Path) -> None:
    """Decompress into `out` and on to the end of the stream, so that its checksum is compared."""
    left = layout.compressed if layout.compressed is not None else path.stat().st_size
    done = -layout.skip
    for block in _blocks(stream, _GZIP if layout.codec == "gzip" else _ZLIB, left, path):
        done = _store(block, out, done)
        if done > len(out) + _SLACK:
            raise InputError(
                f"{path.name} expands to more than its header claims",
                expected=f"{len(out):,} bytes of voxels",
                got="a compressed stream that goes on behind them",
                action="export the volume again",
            )
    if done < len(out):
        raise too_short(path, len(out), max(done, 0))


def _blocks(stream: BinaryIO, wbits: int, left: int, path: Path) -> Iterator[bytes]:
    """Decompressed blocks of bounded size, through every gzip member; zlib compares the checksums."""
    inflater, pending = zlib.decompressobj(wbits), b""
    while True:
        if not pending:
            pending = stream.read(min(_CHUNK, left))
            left -= len(pending)
        try:
            block = inflater.decompress(pending, 4 * _CHUNK)
        except zlib.error as error:
            raise damaged(path, str(error)) from error
        if not block and not pending and not inflater.eof:
            raise damaged(path, "the compressed stream is cut before its end")
        yield block
        pending = inflater.unconsumed_tail
        if inflater.eof:
            pending = inflater.unused_data
            if len(pending) < len(_GZIP_MAGIC):
                more = stream.read(min(_CHUNK, left))
                pending, left = pending + more, left - len(more)
            if wbits == _ZLIB or not pending.startswith(_GZIP_MAGIC):
                return
            inflater = zlib.decompressobj(wbits)


def _store(block: bytes, out: memoryview, done: int) -> int:
    """Copy a block to its place in `out`, as far as it falls into it; return the new position."""
    first, last = max(done, 0), min(done + len(block), len(out))
    if first < last:
        out[first:last] = block[first - done : last - done]
    return done + len(block)


def too_short(path: Path, expected: int, got: int) -> InputError:
    """The error for a file with fewer bytes than its header claims."""
    return InputError(
        f"{path.name} is shorter than its header claims",
        expected=f"{expected:,} bytes of voxels",
        got=f"{got:,} bytes",
        action="copy or export the file again; it was probably cut",
    )


def damaged(path: Path, got: str) -> InputError:
    """The error for a compressed stream that does not end as it should."""
    return InputError(
        f"{path.name} is damaged",
        expected="a whole compressed stream with the right checksum",
        got=got,
        action="copy or export the file again",
    )
