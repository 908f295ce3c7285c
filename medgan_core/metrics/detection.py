"""How well a score tells positives from negatives, and how sure that figure is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError

LEVEL = 0.95
DRAWS = 2000
_MOST_LOST = 0.5

Scores: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[np.bool_]
Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Scores, Labels], float]


@dataclass(frozen=True)
class Interval:
    """A figure with a confidence interval.

    Args:
        value: of all cases.
        low: end of the interval.
        high: end of the interval.
        level: that the interval was made for.
        positives: number of positive cases.
        negatives: number of negative cases.
        patients: number of patients that were drawn from; None where cases counted as independent.
    """

    value: float
    low: float
    high: float
    level: float
    positives: int
    negatives: int
    patients: int | None = None


def area_under_roc(scores: Scores, positive: Labels) -> float:
    """Probability that a positive case scores higher than a negative one, ties half.

    Source: Hanley & McNeil, Radiology 1982, the Wilcoxon form, computed by midranks.

    Args:
        scores: (n,), larger means more likely positive.
        positive: (n,).

    Raises:
        InputError: when a class is empty or a score is not finite.
        ValueError: when shapes differ.
    """
    x, y = _classes(scores, positive)
    ranks = _average_ranks(np.concatenate([x, y]))[: len(x)]
    return float((ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)))


def average_precision(scores: Scores, positive: Labels) -> float:
    """``sum_t (R_t - R_(t-1)) P_t`` over falling thresholds, equal scores taken together.

    A score that says nothing has the share of positives in expectation, which belongs beside the figure.

    Args:
        scores: (n,), larger means more likely positive.
        positive: (n,).

    Raises:
        InputError: when a class is empty or a score is not finite.
        ValueError: when shapes differ.
    """
    _classes(scores, positive)
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked = np.asarray(scores)[order]
    last_of_equal = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.cumsum(np.asarray(positive)[order])[last_of_equal]
    precision = found / (last_of_equal + 1)
    return float(np.sum(np.diff(found, prepend=0) / found[-1] * precision))


def delong_interval(scores: Scores, positive: Labels, *, level: float = LEVEL) -> Interval:
    """AUROC with the normal interval of DeLong's variance, cut at 0 and 1.

    ``var = S_10 / m + S_01 / n`` with the variances (n - 1) of each positive's share of negatives below it
    and of each negative's share of positives above it. Cases count as independent: patches of one patient
    are not, and `patient_bootstrap` is for them. At an AUROC of exactly 1 or 0 the variance is 0 and the
    interval says nothing about few cases.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 1988; midranks as in Sun & Xu,
    IEEE Signal Processing Letters 2014.

    Args:
        scores: (n,), larger means more likely positive.
        positive: (n,), at least two of each class.
        level: between 0 and 1.

    Raises:
        InputError: with fewer than two cases of a class, or a score that is not finite.
        ValueError: when shapes differ.
    """
    x, y = _classes(scores, positive, least=2)
    m, n = len(x), len(y)
    ranks = _average_ranks(np.concatenate([x, y]))
    below = (ranks[:m] - _average_ranks(x)) / n
    above = 1.0 - (ranks[m:] - _average_ranks(y)) / m
    value = float(below.mean())
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n)
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0), level, m, n)


def patient_bootstrap(
    statistic: Statistic,
    scores: Scores,
    positive: Labels,
    patients: NDArray[Any],
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Percentile interval of a statistic over patients drawn with replacement, all cases of each.

    Draws that hold one class only are left out.

    Source: Efron & Tibshirani, "An introduction to the bootstrap", 1993, section 13.3; whole patients as
    in Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 1997.

    Args:
        statistic: of (scores, positive), `area_under_roc` or `average_precision`.
        scores: (n,).
        positive: (n,).
        patients: (n,), who each case belongs to; at least two different ones.
        seed: of the draws.
        draws: how many.
        level: between 0 and 1.

    Raises:
        InputError: when a class is empty, a score is not finite, there is one patient only, or more than
            half of the draws hold one class only.
        ValueError: when shapes differ.
    """
    scores, positive, patients = np.asarray(scores), np.asarray(positive), np.asarray(patients)
    x, y = _classes(scores, positive)
    if patients.shape != scores.shape:
        raise ValueError(f"shapes differ: scores {scores.shape}, patients {patients.shape}")
    names, owner = np.unique(patients, return_inverse=True)
    cases = [np.flatnonzero(owner == p) for p in range(len(names))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        drawn = np.concatenate([cases[p] for p in rng.integers(len(cases), size=len(cases))])
        if 0 < np.count_nonzero(positive[drawn]) < len(drawn):
            values.append(statistic(scores[drawn], positive[drawn]))
    if len(cases) < 2 or len(values) < _MOST_LOST * draws:
        raise InputError(
            "There are too few patients for an interval",
            expected="at least two patients, and both classes in most draws of them",
            got=f"{len(cases)} patients, {len(values)} of {draws} draws with both classes",
            action="add patients, or give the figure without an interval",
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    value = statistic(scores, positive)
    return Interval(value, float(low), float(high), level, len(x), len(y), len(cases))


def _classes(scores: Scores, positive: Labels, *, least: int = 1) -> tuple[Array, Array]:
    """Scores of the positive and of the negative cases."""
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"scores and labels must be (n,), got {scores.shape} and {positive.shape}")
    x, y = scores[positive], scores[~positive]
    if min(len(x), len(y)) < least or not np.isfinite(scores).all():
        raise InputError(
            "These scores cannot be judged",
            expected=f"finite scores and at least {least} of each class",
            got=f"{len(x)} positive, {len(y)} negative, {int((~np.isfinite(scores)).sum())} not finite",
            action="add cases of the missing class, or look at what the score is made from",
        )
    return x, y


def _average_ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Ranks from 1; ties share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which], dtype=np.float64)
