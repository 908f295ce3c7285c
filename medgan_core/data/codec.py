"""16-bit arrays into few bytes and back without loss, with the standard library alone.

Images: differences along the first two axes (modulo 2^16), signs folded (0, -1, 1, -2, ... become 0, 1, 2,
3, ...), high bytes before low bytes, zlib. Neighbouring voxels are alike, so most high bytes are 0.
Labels: high bytes before low bytes, LZMA, which finds long repeats.
"""

from __future__ import annotations

import lzma
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError

Codec = Literal["differences-zlib", "lzma"]


def encode(values: NDArray[np.int16], codec: Codec) -> bytes:
    """Compress an array.

    Args:
        values: any shape with at least two axes.
        codec: for images or for labels.
    """
    if codec == "lzma":
        return lzma.compress(_bytes(values.astype(np.uint16)), preset=6)
    bits = values.astype(np.uint16)  # unsigned, so that differences wrap around
    for axis in (0, 1):
        first = np.zeros_like(bits.take([0], axis=axis))
        bits = np.diff(bits, axis=axis, prepend=first)
    signed = bits.view(np.int16)
    folded = (signed.astype(np.int32) << 1) ^ (signed.astype(np.int32) >> 31)
    return zlib.compress(_bytes(folded.astype(np.uint16)), 9)


def decode(stream: bytes, codec: Codec, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """The array again.

    Args:
        stream: what `encode` gave.
        codec: the same.
        shape: of the array.

    Raises:
        InputError: when the stream is damaged or of another size.
    """
    count = int(np.prod(shape))
    reader = lzma.LZMADecompressor() if codec == "lzma" else zlib.decompressobj()
    try:
        plain = reader.decompress(stream, 2 * count + 1)
    except (lzma.LZMAError, zlib.error) as error:
        raise _damaged(str(error)) from error
    if len(plain) != 2 * count or not reader.eof:  # at eof the stream's own checksum was right
        raise _damaged(f"{len(plain)} bytes where {2 * count} belong, or no end")
    planes = np.frombuffer(plain, dtype=np.uint8).reshape(2, *shape)
    bits: NDArray[np.uint16] = planes[0].astype(np.uint16) << 8 | planes[1]
    if codec == "lzma":
        return np.asarray(bits.view(np.int16))
    signed = (bits >> 1) ^ (-(bits & 1).astype(np.int16)).view(np.uint16)
    for axis in (1, 0):
        signed = np.cumsum(signed, axis=axis, dtype=np.uint16)
    return np.asarray(signed.view(np.int16))


def _bytes(bits: NDArray[np.uint16]) -> bytes:
    return (bits >> 8).astype(np.uint8).tobytes() + (bits & 255).astype(np.uint8).tobytes()


def _damaged(got: str) -> InputError:
    return InputError(
        "An array of the pack is damaged",
        expected="the bytes that were packed",
        got=got,
        action="copy the pack again, or pack the data again",
    )
