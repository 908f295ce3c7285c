"""Anomaly maps that need no network, and one figure per patch from any map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.pca import PrincipalComponents

Array = NDArray[np.float32]

SHARE = 0.01
_SPREAD_OF_NORMAL = 1.4826


def intensity(images: Array) -> Array:
    """The intensity itself: on FLAIR lesions are bright.

    A threshold on it beat most learned detectors on FLAIR in Meissen, Kaissis & Rueckert, "Challenging
    current semi-supervised anomaly segmentation methods for brain MRI", 2021.

    Args:
        images: any shape, divided by the foreground's percentile.
    """
    return images


@dataclass(frozen=True)
class NormalIntensity:
    """Centre and spread of normal tissue; `fit` makes it.

    Args:
        centre: median of foreground voxels in lesion-free patches.
        spread: their median absolute deviation times 1.4826, the standard deviation where they are normal.
    """

    centre: float
    spread: float

    @staticmethod
    def fit(images: Array, mask: NDArray[np.bool_]) -> NormalIntensity:
        """From lesion-free training patches.

        Args:
            images: (n, ...).
            mask: the same shape, foreground.

        Raises:
            ValueError: when shapes differ, the mask is empty, or the voxels are all the same.
        """
        if images.shape != mask.shape or not mask.any():
            raise ValueError(f"no voxels to fit: images {images.shape}, mask {mask.shape}")
        values = images[mask]
        centre = float(np.median(values))
        spread = _SPREAD_OF_NORMAL * float(np.median(np.abs(values - centre)))
        if spread == 0:
            raise ValueError("the voxels do not differ, so there is no spread to measure by")
        return NormalIntensity(centre, spread)

    def deviation(self, images: Array) -> Array:
        """``|I - centre| / spread``: bright and dark lesions alike; unitless, any shape."""
        return (np.abs(images - self.centre) / self.spread).astype(np.float32)


def linear_residual(images: Array, model: PrincipalComponents, *, coefficients: int) -> Array:
    """``|I - PCA(I)|`` with components of lesion-free patches: what a linear autoencoder cannot explain.

    Args:
        images: (n, *shape) of the model's shape.
        model: fitted to lesion-free training patches.
        coefficients: components to explain with.
    """
    return np.abs(images - model.reconstruct(images, coefficients=coefficients))


def patch_scores(maps: Array, mask: NDArray[np.bool_], *, share: float = SHARE) -> NDArray[np.float64]:
    """One score per patch: mean of the highest 1 % of its map inside the foreground, one voxel at least.

    Args:
        maps: (n, ...), larger means more anomalous.
        mask: the same shape, foreground.
        share: of the foreground's voxels that count, above 0 and up to 1.

    Returns:
        (n,); 0 for patches without foreground.

    Raises:
        ValueError: when shapes differ or the share is out of range.
    """
    if maps.shape != mask.shape or not 0 < share <= 1:
        raise ValueError(f"maps {maps.shape}, mask {mask.shape}, share {share} do not fit together")
    scores = np.zeros(len(maps))
    for n, (values, inside) in enumerate(zip(maps, mask, strict=True)):
        highest = np.sort(values[inside])[::-1]
        if highest.size:
            scores[n] = float(highest[: max(1, round(share * highest.size))].mean(dtype=np.float64))
    return scores
