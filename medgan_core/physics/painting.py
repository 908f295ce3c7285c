"""A whole label map as one scan of one head: the base image of `brain-mr-synthesize`.

Everything random is a function of the seed and of the place in the volume, slice by slice, so that no slice
depends on which others are computed, or in what order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.physics.knot_field import KnotField
from medgan_core.physics.mr_signal import Contrast, Sequence
from medgan_core.physics.scanner import blur, coil
from medgan_core.physics.simulation import Head, Texture, fat_share, tissue_signals

_COARSE_MM, _OTHER_MM, _FAT_MM = 8.0, 6.0, 10.0
_FINE, _NOISE = 0, 1
"""Streams of white noise."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """How a map is painted.

    Args:
        head: tissue and sequences.
        contrast: which of them.
        texture: standard deviation of the logarithm of T1, T2 and PD within a tissue.
        shading: logarithm of the loss of signal in the middle of the head (see `scanner.coil`).
        sharpness: standard deviation in pixels of the blur in plane.
        seed: of texture and noise.
    """

    head: Head
    contrast: Contrast
    texture: float
    shading: float
    sharpness: float
    seed: int

    @property
    def sequence(self) -> Sequence:
        """Of the contrast."""
        return self.head.sequences[self.contrast]


def paint(
    tissue: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    scan: Scan,
    step: Callable[[float], None],
) -> NDArray[np.float32]:
    """The signal of every voxel.

    Args:
        tissue: numbers of `tissues.NAMES`, (i, j, k) with the slices along k.
        spacing: in mm.
        scan: of whom, and how.
        step: told the share that is done after every slice.

    Returns:
        (i, j, k) float32, on the scale of proton density, no noise.
    """
    shape = (tissue.shape[0], tissue.shape[1], tissue.shape[2])
    generator = torch.Generator().manual_seed(scan.seed)
    coarse, other, fat = (
        KnotField(shape, spacing, distance, generator) for distance in (_COARSE_MM, _OTHER_MM, _FAT_MM)
    )
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    out = np.empty(shape, dtype=np.float32)
    for k in range(shape[2]):
        labels = torch.from_numpy(np.ascontiguousarray(tissue[..., k]))[None]
        fine = _white(shape[:2], scan.seed, _FINE, k)
        texture = Texture(
            variation=scan.texture * (0.5 * fine + coarse.slice(k))[None],
            other=scan.texture * other.slice(k)[None],
            fat=fat_share(labels, fat.slice(k)[None], scan.head.fat),
        )
        signal = tissue_signals(labels, scan.head, (scan.contrast,), texture)[0]
        signal *= coil(shape, (rows, columns, np.full((1, 1), k)), depth=scan.shading)
        out[..., k] = blur(signal, scan.sharpness)[0].numpy()
        step((k + 1) / shape[2])
    return out


def white_noise(shape: tuple[int, int, int], seed: int) -> NDArray[np.float32]:
    """Standard normal numbers, (i, j, k); a slice's are a function of its size, its place and the seed."""
    out = np.empty(shape, dtype=np.float32)
    for k in range(shape[2]):
        out[..., k] = _white(shape[:2], seed, _NOISE, k).numpy()
    return out


def _white(size: tuple[int, ...], seed: int, stream: int, k: int) -> Tensor:
    state = int(np.random.SeedSequence((seed, stream, k)).generate_state(1, np.uint64)[0]) >> 1
    return torch.randn(size, generator=torch.Generator().manual_seed(state))
