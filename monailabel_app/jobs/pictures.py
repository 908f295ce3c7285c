"""One slice of a volume as a small picture, as a reader of images expects to see it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.optimize import linear_sum_assignment

from medgan_core.volume import Volume

_SIDE = 192
_WINDOW = (1.0, 99.5)


def middle_slice(volume: Volume) -> NDArray[np.float64]:
    """The middle axial slice of the first channel: anterior is up, the patient's right is at the left.

    Args:
        volume: any orientation; an oblique one is shown along the axes that come closest.

    Returns:
        Shape (rows, columns), square pixels, the longer side 192 of them; intensities as in the volume.
    """
    affine = volume.geometry.affine[:3, :3]
    # The axis of the patient (R, A, S) that each voxel axis comes closest to, each taken once.
    _, towards = linear_sum_assignment(-np.abs(affine / np.linalg.norm(affine, axis=0)).T)
    order = np.argsort(towards)
    data = np.transpose(volume.data[0], order)
    plane = data[:, :, data.shape[2] // 2]
    # Rows from anterior to posterior, columns from right to left.
    for axis in (0, 1):
        if affine[axis, order[axis]] > 0:
            plane = np.flip(plane, axis)
    size = np.array(volume.geometry.extent)[order[[1, 0]]]
    wanted = np.maximum(1, np.round(_SIDE * size / size.max()))
    finite = np.nan_to_num(plane.T.astype(np.float64), posinf=0.0, neginf=0.0)
    return np.asarray(zoom(finite, wanted / finite.shape, order=1, grid_mode=True, mode="nearest"))


def grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Intensities as grey levels, from the 1st percentile (black) to the 99.5th (white)."""
    low, high = np.percentile(image, _WINDOW)
    scaled = (image - low) / max(high - low, 1e-12)
    return np.asarray(np.round(255 * np.clip(scaled, 0, 1)), dtype=np.uint8)


def png(levels: NDArray[np.uint8]) -> bytes:
    """Grey levels, shape (rows, columns), as a PNG file (ISO/IEC 15948)."""
    rows, columns = levels.shape
    # Every row begins with the number of its filter, 0 for none.
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), levels], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def write_picture(volume: Volume, path: Path) -> None:
    """Write the volume's middle slice as a PNG file."""
    path.write_bytes(png(grey(middle_slice(volume))))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
