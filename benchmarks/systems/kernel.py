"""The kernel distance where images of one patient come together, with an interval over patients."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.metrics.kid import DEGREE

DRAWS = 1000
LEVEL = 0.95

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """A kernel distance (KID) and its percentile interval.

    Args:
        value: squared MMD; 0 in expectation for one distribution, so it may be negative.
        low: end of the interval.
        high: end of the interval.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As plain JSON types."""
        return asdict(self)


def grouped_kernel_distance(
    real: NDArray[np.floating[Any]],
    owners: NDArray[np.integer[Any]],
    generated: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None = None,
    *,
    seed: int,
    draws: int = DRAWS,
) -> Distance:
    """KID, ``k(x, y) = (x.y / d + 1)^3``, without the pairs that come from one patient.

    Slices of one patient resemble each other more than slices of two, which the usual estimate counts as a
    distance. Here the mean within a set goes over pairs of different owners; where everything is its own
    owner, this is the usual unbiased estimate (`metrics.kid.squared_mmd`).

    The interval comes from drawing patients with replacement, all images of each, and the same for the
    generated images (or their groups); a patient drawn twice makes no pair with itself, so draws are
    unbiased too.

    Args:
        real: (n, d).
        owners: (n,), whose each row is.
        generated: (m, d).
        groups: (m,), likewise; None means that each row stands alone.
        seed: of the draws.
        draws: how many.

    Raises:
        InputError: when either set is of one owner.
    """
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (real, generated))
    p = _members(owners)
    g = _members(np.arange(len(y)) if groups is None else groups)
    if min(len(p), len(g)) < 2:
        raise InputError(
            "Images of one owner have no distance that is free of bias",
            expected="at least two patients, and two generated images",
            got=f"{len(p)} and {len(g)}",
            action="judge on more",
        )
    within_x, within_y, between = (
        a @ (u @ v.T / u.shape[1] + 1.0) ** DEGREE @ b.T
        for a, u, v, b in ((p, x, x, p), (g, y, y, g), (p, x, y, g))
    )
    for within in (within_x, within_y):
        np.fill_diagonal(within, 0.0)
    sizes_x, sizes_y = p.sum(axis=1), g.sum(axis=1)

    def distance(w: Array, v: Array) -> float:
        mean_x, mean_y = _within(within_x, sizes_x, w), _within(within_y, sizes_y, v)
        return float(mean_x + mean_y - 2 * (w @ between @ v) / ((w @ sizes_x) * (v @ sizes_y)))

    rng = np.random.default_rng(seed)
    drawn = [distance(_resampled(rng, len(p)), _resampled(rng, len(g))) for _ in range(draws)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Distance(distance(np.ones(len(p)), np.ones(len(g))), float(low), float(high))


def _members(owners: NDArray[np.integer[Any]]) -> Array:
    """(owners, rows): 1 where the row is the owner's."""
    names, index = np.unique(owners, return_inverse=True)
    return np.asarray(index == np.arange(len(names))[:, None], dtype=np.float64)


def _within(sums: Array, sizes: Array, weights: Array) -> float:
    """Mean over pairs of different owners; `sums` has a zero diagonal."""
    counted = weights * sizes
    pairs = counted.sum() ** 2 - (counted**2).sum()
    return float(weights @ sums @ weights / pairs)


def _resampled(rng: np.random.Generator, count: int) -> Array:
    """How often each of so many is drawn; again where all draws are of one, which makes no pair."""
    while True:
        drawn = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        if np.count_nonzero(drawn) > 1:
            return drawn
