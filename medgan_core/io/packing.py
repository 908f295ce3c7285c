"""Gzip on every core: blocks are deflated side by side and joined into one ordinary stream.

As in pigz (Adler): each block ends with a sync flush, so that their concatenation is one valid deflate
stream. The bytes do not depend on the number of threads.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

_BLOCK = 1 << 21
_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""Gzip header: deflate, no name, no time, fastest, system unknown."""


def gzip_blocks(parts: Iterable[memoryview | bytes], *, level: int = 1) -> Iterator[bytes]:
    """The gzip stream of the concatenated parts (RFC 1952), piece by piece.

    Args:
        parts: any number of buffers of bytes.
        level: of zlib; 1 is the fastest.
    """
    threads = max(1, os.cpu_count() or 1)
    blocks = chain.from_iterable(_cut(memoryview(part)) for part in parts)
    checksum, size = 0, 0
    yield _HEAD
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(blocks, 2 * threads)):
            packed = pool.map(lambda block: _deflate(block, level), batch)
            for block, piece in zip(batch, packed, strict=True):
                checksum = zlib.crc32(block, checksum)
                size += len(block)
                yield piece
    yield zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS).flush(zlib.Z_FINISH)
    yield checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def _cut(part: memoryview) -> Iterator[memoryview]:
    return (part[at : at + _BLOCK] for at in range(0, len(part), _BLOCK))


def _deflate(block: memoryview, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
