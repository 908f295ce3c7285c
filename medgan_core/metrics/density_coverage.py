"""How many generated samples look real, and how much of the real set they cover, by nearest neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from medgan_core.metrics.features import Features, Rows, feature_pair

NEIGHBOURS = 5
_CHUNK = 1024


@dataclass(frozen=True)
class ManifoldScores:
    """Fidelity and diversity of generated samples.

    Args:
        precision: share of generated samples in the ball of at least one real sample.
        recall: share of real samples in the ball of at least one generated sample.
        density: mean number of real balls a generated sample lies in, divided by the neighbours; above 1
            where samples crowd where real ones are dense.
        coverage: share of real samples whose ball holds at least one generated sample.
        expected_coverage: what coverage would be for samples of the real distribution (its ceiling in
            practice).
        neighbours: the k of the balls.
        real: number of real samples.
        generated: number of generated samples.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    expected_coverage: float
    neighbours: int
    real: int
    generated: int


def manifold_scores(real: Features, generated: Features, *, neighbours: int = NEIGHBOURS) -> ManifoldScores:
    """Precision, recall, density and coverage in one pass over the distances.

    The ball of a sample reaches to its k-th nearest neighbour within its own set, itself not counted, and
    holds its surface. Distances are Euclidean in the features as they are given.

    Source: improved precision and recall, Kynkaanniemi et al., NeurIPS 2019, equations 1 and 2; density and
    coverage, Naeem et al., "Reliable fidelity and diversity metrics", ICML 2020, their definitions.

    Args:
        real: (n, ...), n > neighbours; flattened to d values each.
        generated: (m, ...), m > neighbours.
        neighbours: k.

    Raises:
        InputError: when a set has no more than k samples, or values that are not finite.
        ValueError: when feature lengths differ.
    """
    x, y = feature_pair(real, generated, least=neighbours + 1)
    reach_x, reach_y = _reach(x, neighbours), _reach(y, neighbours)
    balls_around = np.zeros(len(y), dtype=np.int64)
    covered = np.zeros(len(x), dtype=bool)
    recalled = np.zeros(len(x), dtype=bool)
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        distance = cdist(x[part], y)
        inside = distance <= reach_x[part, None]
        balls_around += inside.sum(axis=0)
        covered[part] = inside.any(axis=1)
        recalled[part] = (distance <= reach_y).any(axis=1)
    return ManifoldScores(
        precision=float((balls_around > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls_around.mean() / neighbours),
        coverage=float(covered.mean()),
        expected_coverage=expected_coverage(len(x), len(y), neighbours=neighbours),
        neighbours=neighbours,
        real=len(x),
        generated=len(y),
    )


def expected_coverage(real: int, generated: int, *, neighbours: int = NEIGHBOURS) -> float:
    """Expected coverage of n real by m generated samples of one continuous distribution.

    ``1 - (n-1)...(n-k) / ((m+n-1)...(m+n-k))``: a ball is empty when the k nearest of all other samples are
    all real. Source: Naeem et al. 2020, the expectation for identical distributions.
    """
    factors = ((real - i) / (generated + real - i) for i in range(1, neighbours + 1))
    return 1.0 - math.prod(factors)


def _reach(rows: Rows, neighbours: int) -> Rows:
    """Distance of every row to its k-th nearest other row, (n,)."""
    parts = []
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        distance = cdist(part, rows)
        distance[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        parts.append(np.partition(distance, neighbours - 1, axis=1)[:, neighbours - 1])
    return np.concatenate(parts)
