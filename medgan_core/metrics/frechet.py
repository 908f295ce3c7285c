"""Frechet distance of two sets of features, each taken as one Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan_core.metrics.features import Features, Rows, feature_pair

ENOUGH_PER_DIMENSION = 10
"""Samples per feature dimension and set from which on the distance counts as measured.

With n samples of one N(0, I_d) on each side the expected distance is not 0 but, to first order in 1/n,
d (d + 5) / 2n: 5 to 7 % of the total variance d at ten samples per dimension and 16 or more dimensions,
about 27 % at two.
"""


@dataclass(frozen=True)
class FrechetDistance:
    """A Frechet distance and whether the samples sufficed for it.

    Args:
        value: squared 2-Wasserstein distance of the two Gaussians, in squared units of the features.
        real: number of real samples.
        generated: number of generated samples.
        dimensions: length of a feature vector.
        enough: True when both sets have `ENOUGH_PER_DIMENSION` samples per dimension.
        remark: what is wrong with the figure when there are fewer; empty otherwise.
    """

    value: float
    real: int
    generated: int
    dimensions: int
    enough: bool
    remark: str


def frechet_distance(real: Features, generated: Features) -> FrechetDistance:
    """``|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))`` of the sample means and covariances (n - 1).

    The square root is never formed. With centred rows X and Y, C = X^T X / (n - 1) and C' likewise, and the
    trace of (C C')^(1/2) is the sum of the singular values of X Y^T / sqrt((n - 1)(m - 1)), which exists for
    singular covariances too and is never complex.

    Source: Heusel et al., "GANs trained by a two time-scale update rule", NeurIPS 2017, equation 6; Dowson
    & Landau, "The Frechet distance between multivariate normal distributions", 1982. The figure is biased
    upwards by few samples: Binkowski et al., ICLR 2018.

    Args:
        real: (n, ...), n >= 2; flattened to d values each.
        generated: (m, ...), m >= 2.

    Raises:
        InputError: with fewer than two samples in a set, or values that are not finite.
        ValueError: when feature lengths differ.
    """
    x, y = feature_pair(real, generated, least=2)
    gap = x.mean(axis=0) - y.mean(axis=0)
    value = _distance(gap, _factor(x), _factor(y))
    n, m, d = len(x), len(y), x.shape[1]
    remark = _remark(min(n, m), d)
    return FrechetDistance(value, n, m, d, not remark, remark)


def gaussian_frechet_distance(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    other_mean: NDArray[np.float64],
    other_covariance: NDArray[np.float64],
) -> float:
    """The same distance of two Gaussians that are given, not estimated.

    Args:
        mean: (d,).
        covariance: (d, d), symmetric; eigenvalues below 0 count as 0.
        other_mean: (d,).
        other_covariance: (d, d).
    """
    return _distance(mean - other_mean, _root(covariance), _root(other_covariance))


def _distance(gap: Rows, x: Rows, y: Rows) -> float:
    """Of two Gaussians with covariances x^T x and y^T y; rounding must not make it negative."""
    cross = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    total = float(gap @ gap + np.square(x).sum() + np.square(y).sum())
    return max(total - 2.0 * cross, 0.0)


def _factor(rows: Rows) -> Rows:
    """A matrix of at most d rows whose X^T X is the covariance."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(rows) > rows.shape[1] else centred


def _root(covariance: NDArray[np.float64]) -> Rows:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _remark(samples: int, dimensions: int) -> str:
    if samples >= ENOUGH_PER_DIMENSION * dimensions:
        return ""
    reason = "so the covariance is singular" if samples <= dimensions else "so the distance is biased upwards"
    return (
        f"{samples} samples for {dimensions} dimensions are too few, {reason}; "
        f"at least {ENOUGH_PER_DIMENSION * dimensions} are needed, or the kernel distance"
    )
