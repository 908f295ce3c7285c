"""Kernel distance between two sets of features, unbiased: few samples do not look bad by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medgan_core.metrics.features import Features, Rows, feature_pair

DEGREE = 3
BLOCKS = 10
_CHUNK = 1024


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance and how sure it is.

    Args:
        value: unbiased squared MMD of all samples; 0 in expectation for one distribution, so it may be
            negative.
        spread: standard deviation (n - 1) of the same figure over disjoint blocks of the samples.
        standard_error: ``spread / sqrt(blocks)``, of the mean over the blocks; the error of `value` is no
            larger. It takes the samples as independent, which slices of one patient are not.
        blocks: how many there were; below 2 spread and error are NaN.
        real: number of real samples.
        generated: number of generated samples.
    """

    value: float
    spread: float
    standard_error: float
    blocks: int
    real: int
    generated: int


def kernel_distance(
    real: Features, generated: Features, *, seed: int, blocks: int = BLOCKS, degree: int = DEGREE
) -> KernelDistance:
    """KID: squared maximum mean discrepancy with the kernel ``k(x, y) = (x.y / d + 1)^3``.

    Figures compare only where the features are those of the same network in the same scale.

    Source: Binkowski, Sutherland, Arbel & Gretton, "Demystifying MMD GANs", ICLR 2018; the
    unbiased estimate is equation 3 of Gretton et al., JMLR 2012. The blocks are those of Zaremba, Gretton &
    Blaschko, "B-tests", NeurIPS 2013, where Binkowski's code draws overlapping subsets.

    Args:
        real: (n, ...), n >= 2; flattened to d values each.
        generated: (m, ...), m >= 2.
        seed: of the shuffle that deals the samples into blocks.
        blocks: how many blocks; fewer are made when a block would hold fewer than two of either set.
        degree: of the polynomial.

    Raises:
        InputError: with fewer than two samples in a set, or values that are not finite.
        ValueError: when feature lengths differ.
    """
    x, y = feature_pair(real, generated, least=2)
    blocks = max(1, min(blocks, len(x) // 2, len(y) // 2))
    rng = np.random.default_rng(seed)
    deals = [np.array_split(rows[rng.permutation(len(rows))], blocks) for rows in (x, y)]
    value = squared_mmd(x, y, degree=degree)
    if blocks < 2:
        return KernelDistance(value, math.nan, math.nan, blocks, len(x), len(y))
    parts = [squared_mmd(a, b, degree=degree) for a, b in zip(*deals, strict=True)]
    spread = float(np.std(parts, ddof=1))
    return KernelDistance(value, spread, spread / math.sqrt(blocks), blocks, len(x), len(y))


def squared_mmd(x: Rows, y: Rows, *, degree: int = DEGREE) -> float:
    """Unbiased squared MMD: means of the kernel over pairs within x, within y, and between, without i = j.

    ``sum_{i!=j} k(x_i, x_j) / n(n-1) + sum_{i!=j} k(y_i, y_j) / m(m-1) - 2 sum_{ij} k(x_i, y_j) / nm``

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.
        degree: of the polynomial kernel.
    """
    n, m = len(x), len(y)
    within_x = _kernel_sum(x, x, degree) - _diagonal_sum(x, degree)
    within_y = _kernel_sum(y, y, degree) - _diagonal_sum(y, degree)
    between = _kernel_sum(x, y, degree)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


def _kernel_sum(x: Rows, y: Rows, degree: int) -> float:
    """Sum of the kernel over all pairs, a part of the rows at a time."""
    parts = (x[i : i + _CHUNK] @ y.T / x.shape[1] + 1.0 for i in range(0, len(x), _CHUNK))
    return float(sum((part**degree).sum() for part in parts))


def _diagonal_sum(x: Rows, degree: int) -> float:
    return float(((np.square(x).mean(axis=1) + 1.0) ** degree).sum())
