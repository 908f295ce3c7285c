"""Voxel-wise figures: the gain that MR needs, mean absolute error, peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.floating[Any]]
Mask: TypeAlias = NDArray[np.bool_]


def fit_gain(prediction: Image, truth: Image, mask: Mask) -> float:
    """The factor g that minimises ``sum((g * prediction - truth)^2)`` inside the mask.

    MR has no absolute scale, so a prediction is compared after this one factor; there is no offset.

    Args:
        prediction: any shape.
        truth: the same shape.
        mask: the same shape, at least one voxel True.

    Returns:
        ``sum(p t) / sum(p p)``; 1 when the prediction is zero everywhere in the mask.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    p, t = _inside(prediction, truth, mask)
    power = float(p @ p)
    return float(p @ t) / power if power > 0 else 1.0


def mean_absolute_error(prediction: Image, truth: Image, mask: Mask) -> float:
    """Mean of ``|prediction - truth|`` inside the mask, in the unit of the arrays.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    p, t = _inside(prediction, truth, mask)
    return float(np.abs(p - t).mean())


def peak_signal_to_noise(
    prediction: Image,
    truth: Image,
    mask: Mask,
    *,
    peak: float = 1.0,
) -> float:
    """``10 log10(peak^2 / mse)`` inside the mask, in dB; infinite when both are identical.

    Args:
        prediction: any shape.
        truth: the same shape.
        mask: the same shape, at least one voxel True.
        peak: the value that counts as full signal; 1 after the truth was divided by its percentile.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    p, t = _inside(prediction, truth, mask)
    mse = float(np.mean((p - t) ** 2))
    return 10.0 * math.log10(peak**2 / mse) if mse > 0 else math.inf


def check_shapes(prediction: Image, truth: Image, mask: Mask) -> None:
    """Refuse arrays that do not belong together.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    if not prediction.shape == truth.shape == mask.shape:
        raise ValueError(f"shapes differ: {prediction.shape}, {truth.shape}, mask {mask.shape}")
    if not mask.any():
        raise ValueError("the mask is empty, so there is nothing to compare")


def _inside(prediction: Image, truth: Image, mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both images inside the mask as float64, which keeps sums over millions of voxels exact enough."""
    check_shapes(prediction, truth, mask)
    return prediction[mask].astype(np.float64), truth[mask].astype(np.float64)
