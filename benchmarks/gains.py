"""By how much one way of training is above another one: over patients and seeds, with interval and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.suggesting import Dices

HOW = """\
mean; 95 % interval over patients and seeds, both drawn with replacement; p of Wilcoxon's signed-rank test
over patients, each the mean over the seeds. The test knows nothing of what another training would give, so a
small p beside an interval that holds 0 says little."""
"""What stands above a table of gains."""

_DRAWN = 2000
T = TypeVar("T")


@dataclass(frozen=True)
class Gain:
    """How one way of training differs from another one, over patients and seeds.

    Args:
        mean: difference of the Dice.
        low: end of its 95 % interval over patients and seeds drawn with replacement.
        high: end of it.
        p: of Wilcoxon's signed-rank test over patients, two-sided.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    def __str__(self) -> str:
        interval = f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"
        return interval if self.seeds == 1 else f"{interval}, p = {self.p:.2g}"


def patients(dices: Sequence[Dices]) -> NDArray[np.float64]:
    """(seeds, n) Dice of each patient, mean over labels."""
    return np.asarray([np.mean(list(one.values()), axis=0) for one in dices])


def gain(mine: Sequence[Dices], others: Sequence[Dices]) -> Gain:
    """Paired over seeds and patients."""
    from scipy.stats import wilcoxon

    difference = patients(mine) - patients(others)
    seeds, count = difference.shape
    rng = np.random.default_rng(0)
    rows, columns = (rng.integers(n, size=(_DRAWN, n)) for n in (seeds, count))
    drawn = difference[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    low, high = np.quantile(drawn, [0.025, 0.975])
    of_patients = difference.mean(axis=0)
    p = float(wilcoxon(of_patients).pvalue) if np.any(of_patients) else 1.0
    return Gain(float(difference.mean()), float(low), float(high), p, seeds)


def shared(one: Mapping[int, T], other: Mapping[int, T]) -> tuple[list[T], list[T]]:
    """Those of the seeds that both have, in the same order."""
    both = sorted(set(one) & set(other))
    return [one[seed] for seed in both], [other[seed] for seed in both]
