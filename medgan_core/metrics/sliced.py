"""A distance between two sets of images that needs no trained features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError

PROJECTIONS = 256


def sliced_wasserstein(
    a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]], *, seed: int, projections: int = PROJECTIONS
) -> float:
    """Mean distance between the sorted projections of two sets on random directions.

    ``mean over directions u of mean_i |sort(A u)_i - sort(B u)_i|`` with unit vectors u. Cheap and without
    bias towards a network's features, but blind to what random directions blur: good for watching a training,
    not for ranking models.

    Source: Rabin et al., "Wasserstein barycenter and its application to texture mixing", SSVM 2011.

    Args:
        a: (n, ...), flattened per image.
        b: the same shape.
        seed: of the directions.
        projections: how many.

    Raises:
        InputError: when the shapes differ or a value is not finite.
    """
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError(
            "These two sets of images cannot be compared",
            expected="two arrays of one shape with finite values",
            got=f"{a.shape} and {b.shape}",
            action="draw as many images as there are real ones",
        )
    x, y = (np.asarray(s, dtype=np.float64).reshape(len(s), -1) for s in (a, b))
    directions = np.random.default_rng(seed).normal(size=(x.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.abs(np.sort(x @ directions, axis=0) - np.sort(y @ directions, axis=0)).mean())
