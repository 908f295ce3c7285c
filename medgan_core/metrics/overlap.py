"""Dice of each label, with the number of cases it is the mean of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LabelMap: TypeAlias = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LabelOverlap:
    """Dice of one label over cases.

    Args:
        label: its number.
        mean: over the `n` cases; NaN when there is none.
        spread: standard deviation (n - 1) over them; NaN when there are fewer than two.
        n: cases in which the label is in the truth or in the prediction.
        absent: cases in which it is in neither, left out.
    """

    label: int
    mean: float
    spread: float
    n: int
    absent: int


def dice(predicted: LabelMap, truth: LabelMap, *, label: int) -> float | None:
    """``2 |P and T| / (|P| + |T|)`` of one label in one case.

    Args:
        predicted: any shape.
        truth: the same shape.
        label: number of the label.

    Returns:
        0 when the label is in one of the two only; None when it is in neither, where there is nothing to
        overlap: a value of 1 would reward every case without the label.

    Raises:
        ValueError: when shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"shapes differ: {predicted.shape}, {truth.shape}")
    p, t = predicted == label, truth == label
    total = int(np.count_nonzero(p)) + int(np.count_nonzero(t))
    return 2.0 * int(np.count_nonzero(p & t)) / total if total else None


def dice_per_label(
    predicted: Sequence[LabelMap], truth: Sequence[LabelMap], *, labels: Sequence[int]
) -> list[LabelOverlap]:
    """Mean Dice of every label over cases, each case counted once whatever its size.

    Source: Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Args:
        predicted: one label map per case, each of any shape.
        truth: as many, shapes alike.
        labels: the numbers to judge, usually without the background.

    Raises:
        ValueError: when the numbers of cases or shapes differ.
    """
    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)} predictions for {len(truth)} truths")
    return [_over_cases(predicted, truth, label) for label in labels]


def _over_cases(predicted: Sequence[LabelMap], truth: Sequence[LabelMap], label: int) -> LabelOverlap:
    found = [dice(p, t, label=label) for p, t in zip(predicted, truth, strict=True)]
    values = [value for value in found if value is not None]
    mean = float(np.mean(values)) if values else math.nan
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return LabelOverlap(label, mean, spread, len(values), len(found) - len(values))
