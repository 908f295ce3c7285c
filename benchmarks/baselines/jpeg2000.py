"""JPEG 2000, slice by slice: what a learned code of the same size has to beat."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgan_core.metrics import peak_signal_to_noise

Array = NDArray[np.float32]

_MOST_LEVELS = 6
_START_OF_CODESTREAM = b"\xff\x4f"
_START_OF_DATA = 0xFF93


@dataclass(frozen=True)
class RatePoint:
    """What a volume costs at one setting, and what is left of it.

    Args:
        target: bits per voxel that were asked for; None for lossless coding of the rounded volume.
        size: bytes of all streams together, headers included.
        header: bytes of them that are headers.
        bits_per_voxel: of `size`.
        payload_bits_per_voxel: of `size` less `header`.
        psnr: dB inside the mask, peak 1 after [low, high] was mapped to [0, 1].
    """

    target: float | None
    size: int
    header: int
    bits_per_voxel: float
    payload_bits_per_voxel: float
    psnr: float


def encode(image: NDArray[np.unsignedinteger], *, bits_per_pixel: float | None) -> bytes:
    """One slice to a raw JPEG 2000 code stream (ISO/IEC 15444-1, no JP2 boxes), by OpenJPEG through Pillow.

    Args:
        image: (i, j), uint8 or uint16; values of 9 to 15 bits are stored as 16 bits with empty upper ones.
        bits_per_pixel: target of the rate control, headers included, with the irreversible 9/7 wavelet; the
            stream may come out larger where the header alone is, and smaller where less is needed. None is
            lossless with the reversible 5/3 wavelet.

    Raises:
        ValueError: when the image is not (i, j) of uint8 or uint16, or the target is not above 0.
    """
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a slice must be (i, j) of uint8 or uint16, got {image.dtype} {image.shape}")
    options: dict[str, object] = {
        "no_jp2": True,
        "num_resolutions": min(_MOST_LEVELS, 1 + int(math.log2(min(image.shape)))),
        "irreversible": bits_per_pixel is not None,
    }
    if bits_per_pixel is not None:
        if not bits_per_pixel > 0:
            raise ValueError(f"the target must be above 0 bits per pixel, got {bits_per_pixel}")
        options |= {"quality_mode": "rates", "quality_layers": [8 * image.itemsize / bits_per_pixel]}
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="JPEG2000", **options)
    return stream.getvalue()


def decode(stream: bytes) -> NDArray[np.unsignedinteger]:
    """The slice (i, j) of a stream, in the type it was stored in."""
    return np.asarray(Image.open(io.BytesIO(stream), formats=["JPEG2000"]))


def header_size(stream: bytes) -> int:
    """Bytes up to and with the marker after which the coded data start, found by walking the markers.

    Holds the main header (with OpenJPEG's comment of 39 bytes) and the tile-part header: 120 to 140 bytes,
    which counts in small slices.

    Raises:
        ValueError: when these bytes are no such stream.
    """
    at = len(_START_OF_CODESTREAM)
    if not stream.startswith(_START_OF_CODESTREAM):
        raise ValueError("this is no JPEG 2000 code stream")
    while at + 2 <= len(stream):
        marker = int.from_bytes(stream[at : at + 2], "big")
        at += 2
        if marker == _START_OF_DATA:
            return at
        at += int.from_bytes(stream[at : at + 2], "big")
    raise ValueError("the code stream ends before its data")


def rate_distortion(
    volume: Array,
    targets: Sequence[float | None],
    *,
    bits: int = 8,
    low: float = 0.0,
    high: float = 1.0,
    mask: NDArray[np.bool_] | None = None,
    mosaic: bool = False,
) -> list[RatePoint]:
    """Code a volume at several rates and judge what comes back against the volume before rounding.

    Args:
        volume: (i, j, k), slices along the last axis.
        targets: bits per voxel; None for lossless.
        bits: 8 to 16, of the rounding before coding.
        low: value that becomes 0; smaller ones are cut.
        high: value that becomes 2^bits - 1; larger ones are cut.
        mask: where PSNR counts, (i, j, k); None means everywhere.
        mosaic: all slices in one picture below each other, so that they share one header; wavelets then
            cross from slice to slice. Else every slice has its stream.

    Raises:
        ValueError: when bits or the range make no sense.
    """
    if not 8 <= bits <= 16 or not high > low:
        raise ValueError(f"{bits} bits over [{low}, {high}] make no rounding")
    levels = 2**bits - 1
    scaled = np.clip((volume - low) / (high - low), 0.0, 1.0)
    whole = np.rint(scaled * levels).astype(np.uint8 if bits == 8 else np.uint16)
    pictures = (
        [whole.transpose(2, 0, 1).reshape(-1, whole.shape[1])] if mosaic else list(whole.transpose(2, 0, 1))
    )
    truth = (volume - low) / (high - low)
    inside = np.ones(volume.shape, dtype=bool) if mask is None else mask
    points = []
    for target in targets:
        streams = [encode(picture, bits_per_pixel=target) for picture in pictures]
        back = np.concatenate([decode(stream) for stream in streams])
        back = back.reshape(volume.shape[2], *volume.shape[:2]).transpose(1, 2, 0) / levels
        size, header = sum(map(len, streams)), sum(map(header_size, streams))
        points.append(
            RatePoint(
                target,
                size,
                header,
                8.0 * size / volume.size,
                8.0 * (size - header) / volume.size,
                peak_signal_to_noise(back, truth, inside),
            )
        )
    return points
