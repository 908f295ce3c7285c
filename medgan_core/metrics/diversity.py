"""How much the images of a set differ from each other: the watch on collapse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.metrics.image import Image
from medgan_core.metrics.ssim import multi_scale_ssim

PAIRS = 200


@dataclass(frozen=True)
class Diversity:
    """Mean similarity of the pairs of a set; compare it with that of the real set, not with 0.

    Args:
        mean: of MS-SSIM over pairs; 1 when all images are the same one.
        spread: standard deviation (n - 1) over the pairs; 0 when there is one pair.
        pairs: how many pairs were compared.
        images: how many images there are.
    """

    mean: float
    spread: float
    pairs: int
    images: int


def mean_pairwise_similarity(
    images: Image, *, seed: int, pairs: int = PAIRS, data_range: float = 1.0
) -> Diversity:
    """Mean MS-SSIM of pairs of different images, over all voxels and channels.

    All pairs are compared where there are no more than `pairs`; else that many are drawn, each pair equally
    likely, with replacement.

    Source: Odena, Olah & Shlens, "Conditional image synthesis with auxiliary classifier GANs", ICML 2017;
    MS-SSIM as in `multi_scale_ssim`, with as many scales as the size allows.

    Args:
        images: (n, c, i, j) or (n, c, i, j, k), n >= 2. Intensities start at 0 (SSIM's first factor compares
            means as magnitudes), so images in [-1, 1] are to be mapped to [0, 1] before.
        seed: of the choice of pairs.
        pairs: the most pairs to compare.
        data_range: the value that counts as full signal.

    Raises:
        InputError: with fewer than two images, or values that are not finite.
        ValueError: when the images are neither 2D nor 3D.
    """
    images = np.asarray(images)
    if images.ndim not in (4, 5):
        raise ValueError(f"images must be (n, c, i, j) or (n, c, i, j, k), got shape {images.shape}")
    if len(images) < 2 or not np.isfinite(images).all():
        raise InputError(
            "These images cannot be compared with each other",
            expected="at least two images of finite values",
            got=f"{len(images)} images, {int((~np.isfinite(images)).sum())} values not finite",
            action="draw more images, or look for what made the network diverge",
        )
    chosen = _pairs(len(images), pairs, seed)
    values = [_similarity(images[a], images[b], data_range) for a, b in chosen]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Diversity(float(np.mean(values)), spread, len(values), len(images))


def _pairs(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Indices of pairs, (pairs, 2); never an image with itself."""
    if count * (count - 1) // 2 <= most:
        return np.stack(np.triu_indices(count, 1), axis=1)
    rng = np.random.default_rng(seed)
    first = rng.integers(count, size=most)
    return np.stack([first, (first + rng.integers(1, count, size=most)) % count], axis=1)


def _similarity(a: Image, b: Image, data_range: float) -> float:
    """Mean over the channels of (c, *spatial); a 2D image is a volume of one slice."""
    slice_wise = a.ndim == 3
    if slice_wise:
        a, b = a[..., None], b[..., None]
    everywhere = np.ones(a.shape[1:], dtype=bool)
    values = [
        multi_scale_ssim(x, y, everywhere, slice_wise=slice_wise, data_range=data_range)
        for x, y in zip(a, b, strict=True)
    ]
    return float(np.mean(values))
