"""Does a trust map know where the image is wrong: rank correlation over blocks, coverage of intervals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medgan_core.metrics.image import Image, Mask

BLOCK_MM = 5.0
_LEAST_SHARE = 0.5


def block_means(
    values: Image,
    mask: Mask,
    *,
    spacing: tuple[float, float, float],
    block_mm: float = BLOCK_MM,
) -> NDArray[np.float64]:
    """Means inside the mask over blocks of about 5 mm, for blocks at least half inside of it.

    Args:
        values: (i, j, k).
        mask: the same shape.
        spacing: voxel size along (i, j, k) in mm.
        block_mm: side of a block; it is rounded to whole voxels, one at least.

    Returns:
        One value per block, in a fixed order that depends on the mask alone. Blocks start at the first
        voxel; incomplete ones at the far ends are left out.

    Raises:
        ValueError: when shapes differ.
    """
    if values.shape != mask.shape:
        raise ValueError(f"shapes differ: {values.shape}, mask {mask.shape}")
    sides = [min(n, max(1, round(block_mm / s))) for n, s in zip(values.shape, spacing, strict=True)]
    counts = _block_sums(mask.astype(np.float64), sides)
    sums = _block_sums(np.where(mask, values, 0.0).astype(np.float64), sides)
    used = counts >= _LEAST_SHARE * math.prod(sides)
    return np.asarray(sums[used] / counts[used])


def error_rank_correlation(
    expected: Image,
    error: Image,
    mask: Mask,
    *,
    spacing: tuple[float, float, float],
    block_mm: float = BLOCK_MM,
) -> float:
    """Spearman's rank correlation of the expected with the true absolute error, over blocks.

    Args:
        expected: (i, j, k), expected absolute error, or any map that should grow with the error.
        error: the same shape, prediction minus truth (its sign does not matter).
        mask: the same shape.
        spacing: voxel size along (i, j, k) in mm.
        block_mm: side of a block.

    Returns:
        In [-1, 1]; 0 when either map is the same in every block, or there are fewer than two blocks.

    Raises:
        ValueError: when shapes differ.
    """
    a = block_means(expected, mask, spacing=spacing, block_mm=block_mm)
    b = block_means(np.abs(error), mask, spacing=spacing, block_mm=block_mm)
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    from scipy import stats  # late, as in ssim.py

    return float(stats.spearmanr(a, b).statistic)


def interval_coverage(
    expected: Image,
    error: Image,
    mask: Mask,
    *,
    level: float = 0.9,
) -> float:
    """Share of the mask's voxels whose error lies in the central interval that the trust map claims.

    The error is taken as Laplace distributed with mean absolute value b, the expected absolute error, so
    ``P(|e| <= t) = 1 - exp(-t / b)`` and the interval is ``|e| <= -b ln(1 - level)``, b ln 10 at 90 %.

    Args:
        expected: expected absolute error b, any shape.
        error: the same shape, prediction minus truth.
        mask: the same shape, at least one voxel True.
        level: of the interval, between 0 and 1.

    Raises:
        ValueError: when shapes differ, the mask is empty, or the level is not between 0 and 1.
    """
    if not expected.shape == error.shape == mask.shape:
        raise ValueError(f"shapes differ: {expected.shape}, {error.shape}, mask {mask.shape}")
    if not mask.any():
        raise ValueError("the mask is empty, so there is nothing to count")
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level must lie between 0 and 1, got {level}")
    return float(np.mean(np.abs(error[mask]) <= -math.log(1.0 - level) * expected[mask]))


def _block_sums(values: NDArray[np.float64], sides: list[int]) -> NDArray[np.float64]:
    """Sums over whole blocks, one value per block."""
    counts = [n // s for n, s in zip(values.shape, sides, strict=True)]
    cut = values[tuple(slice(0, c * s) for c, s in zip(counts, sides, strict=True))]
    split = cut.reshape(counts[0], sides[0], counts[1], sides[1], counts[2], sides[2])
    return np.asarray(split.sum(axis=(1, 3, 5)))
