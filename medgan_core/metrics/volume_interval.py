"""How far a structure's volume may be from the truth: a conformal interval.

Its half width follows from how undecided a segmentation is, ``factor * sum p (1 - p) * voxel volume``; the
factor is measured on patients whose truth is known. This is split conformal prediction with normalised
errors: Papadopoulos et al., "Inductive Confidence Machines for Regression", ECML 2002; Lei et al.,
"Distribution-Free Predictive Inference for Regression", JASA 2018, sections 2.2 and 5.2.

Leaving each of those patients out in turn measures nothing: the share that the others' factor covers follows
from their number alone. Only patients who did not set the factor can test it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
"""Of every interval that is told to a person."""


def doubt(probability: NDArray[np.floating[Any]]) -> float:
    """``sum p (1 - p)``: voxels' worth of doubt whether they belong to a structure.

    Voxels of a border err together, so this is not a variance of the volume, but it grows with its error.

    Args:
        probability: of the structure at every voxel, any shape.

    Example:
        >>> doubt(np.array([0.0, 0.5, 1.0]))
        0.25
    """
    return float(np.sum(probability * (1 - probability), dtype=np.float64))


def conformal_factor(errors: Sequence[float], doubts: Sequence[float], *, level: float = LEVEL) -> float:
    """Factor of the doubt with which an interval holds the truth of a new patient with this probability.

    With n patients it is the ``ceil((n + 1) level)``-th smallest of ``|error| / doubt``, or the largest where
    there are too few patients for the level.

    Args:
        errors: predicted minus true volume of each patient.
        doubts: of each prediction, in the same unit and above 0.
        level: of the interval, between 0 and 1.

    Raises:
        ValueError: when there is no patient, the counts differ, or a doubt is not above 0.

    Example:
        >>> conformal_factor([1.0, -2.0, 3.0], [1.0, 1.0, 1.0], level=0.5)
        2.0
    """
    if not errors or len(errors) != len(doubts) or min(doubts) <= 0:
        raise ValueError(f"{len(errors)} errors, {len(doubts)} doubts; at least one of each, doubts above 0")
    ratios = sorted(abs(e) / d for e, d in zip(errors, doubts, strict=True))
    rank = math.ceil(round((len(ratios) + 1) * level, 9))
    return ratios[min(rank, len(ratios)) - 1]
