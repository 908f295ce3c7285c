"""Active learning: in which order images should be labelled, from what a model says of them.

Pure functions: scores and features in, an order out. All orders hold every candidate once, the one to label
first in front, and ties keep the order of the candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import UsageError

Order = NDArray[np.intp]
Floats = NDArray[np.floating[Any]]


def disagreement(members: Floats, *, eps: float = 1e-9) -> float:
    """How far members of an ensemble disagree on an image: what labelling it could teach.

    The mutual information of a voxel's class and the member, ``H(mean p) - mean H(p)``, in nats: 0 where all
    say the same, however undecided, which more labels would not change. Summed over the voxels and divided by
    the expected number of labelled ones, so that large structures do not win for their size.

    Source: Houlsby et al., "Bayesian active learning", 2011, equation 2; Gal et al., ICML 2017.

    Args:
        members: (m, classes, *spatial), probabilities; class 0 is the background. Members are networks,
            passes with dropout, or views of one volume.
        eps: below this a probability counts as it.

    Returns:
        0 or more.
    """
    p = np.asarray(members, dtype=np.float64)
    mean = p.mean(axis=0)
    information = _entropy(mean, eps) - np.mean([_entropy(one, eps) for one in p], axis=0)
    labelled = float((1 - mean[0]).sum())
    return max(0.0, float(information.sum()) / max(labelled, 1.0))


def at_random(count: int, *, seed: int) -> Order:
    """Any order, the same for the same seed."""
    return np.random.default_rng(seed).permutation(count)


def most_uncertain(scores: Floats) -> Order:
    """The highest score first.

    Args:
        scores: (n,), see `disagreement`.
    """
    return np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")


def core_set(features: Floats, labelled: Floats) -> Order:
    """The one farthest from everything labelled or chosen so far first (greedy k-centre).

    Source: Sener & Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR
    2018, algorithm 1.

    Args:
        features: (n, d) of the candidates, on scales that may be compared.
        labelled: (m, d) of those that are labelled, m may be 0: then the one nearest to the middle begins.
    """
    x = np.asarray(features, dtype=np.float64)
    if len(labelled):
        nearest = np.min([((x - one) ** 2).sum(axis=1) for one in np.asarray(labelled)], axis=0)
    else:
        nearest = -((x - x.mean(axis=0)) ** 2).sum(axis=1)
    order: list[int] = []
    left = np.ones(len(x), dtype=bool)
    while left.any():
        best = int(np.flatnonzero(left)[np.argmax(nearest[left])])
        order.append(best)
        left[best] = False
        distance = ((x - x[best]) ** 2).sum(axis=1)
        first = len(order) == 1 and not len(labelled)
        nearest = distance if first else np.minimum(nearest, distance)
    return np.array(order, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Pool:
    """The images without a label, as a strategy sees them.

    Args:
        scores: (n,), see `disagreement`.
        features: (n, d).
        labelled: (m, d), features of the images with a label.
        seed: of what is random.
    """

    scores: Floats
    features: Floats
    labelled: Floats
    seed: int = 0


STRATEGIES: dict[str, Callable[[Pool], Order]] = {
    "random": lambda pool: at_random(len(pool.scores), seed=pool.seed),
    "epistemic": lambda pool: most_uncertain(pool.scores),
    "diversity": lambda pool: core_set(*_scaled(pool.features, pool.labelled)),
}
"""By name, from a pool to an order of labelling."""


def order(strategy: str, pool: Pool) -> Order:
    """In which order to label the images of a pool.

    Raises:
        UsageError: when there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise UsageError(
            "There is no such strategy",
            expected=", ".join(STRATEGIES),
            got=strategy,
            action="choose one of them",
        )
    return STRATEGIES[strategy](pool)


def _scaled(features: Floats, labelled: Floats) -> tuple[Floats, Floats]:
    """Each feature with mean 0 and variance 1 over all images."""
    x = np.concatenate([features, np.asarray(labelled).reshape(-1, features.shape[1])])
    scaled = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    return scaled[: len(features)], scaled[len(features) :]


def _entropy(p: Floats, eps: float) -> Floats:
    """Over the classes, (classes, *spatial) to (*spatial)."""
    clipped = np.clip(p, eps, 1.0)
    return np.asarray(-(clipped * np.log(clipped)).sum(axis=0))
