"""Crops of the hippocampus, as the recipes that make images from nothing share them."""

from __future__ import annotations

from pathlib import Path

from medgan_core.data.crops import LabelledCrops
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation

SHAPE = (32, 48, 32)
_SAGITTAL = 0


def crop_size(spatial_dims: int) -> tuple[int, ...]:
    """Sides of a crop: (i, j, k) towards R, A, S, or (j, k) of a sagittal slice."""
    return SHAPE if spatial_dims == 3 else SHAPE[1:]


def crop_images(data: Path, *, spatial_dims: int, seed: int, validation: bool) -> LabelledCrops:
    """Crops of the training split, slightly moved and mirrored, or of the validation split as they are.

    Args:
        data: a manifest's folder, or a pack.
        spatial_dims: 2 for sagittal slices, 3 for volumes.
        seed: of the samples.
        validation: the patients left out.
    """
    return LabelledCrops.of(
        open_training_set(data),
        validation=validation,
        shape=SHAPE,
        spatial_dims=spatial_dims,
        axis=_SAGITTAL,
        augmentation=Augmentation(),
        seed=seed,
    )
