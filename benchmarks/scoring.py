"""How well a trust map knows the errors, beside what the edges of images would have known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.gradient import gradient_magnitude
from medgan_core import metrics
from medgan_core.evaluation import Truth


def score_trust(
    truth: Truth, image: NDArray[np.float32], expected: NDArray[np.float32], edges: list[NDArray[np.float32]]
) -> dict[str, float]:
    """How well a trust map knows the errors, beside what the edges of images would have known.

    Args:
        truth: to compare with.
        image: the prediction, any scale.
        expected: its expected absolute error in the same scale.
        edges: images whose gradient magnitudes are the baseline; the best of them is given.

    Returns:
        Spearman's rank correlation over 5 mm blocks of the trust map (`spearman`) and of the best gradient
        map (`gradient_spearman`), and the coverage of the 90 % interval.
    """
    gain = metrics.fit_gain(image, truth.image, truth.mask)
    error = np.float32(gain) * image - truth.image
    expected = np.float32(abs(gain)) * expected

    def rank(values: NDArray[np.float32]) -> float:
        return metrics.error_rank_correlation(values, error, truth.mask, spacing=truth.spacing)

    return {
        "spearman": rank(expected),
        "gradient_spearman": max(rank(gradient_magnitude(e, spacing=truth.spacing)) for e in edges),
        "coverage": metrics.interval_coverage(expected, error, truth.mask),
    }
