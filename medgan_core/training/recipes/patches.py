"""Patches of brains with and without a lesion, as the recipes that look for what is not normal share them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from medgan_core.data.lesions import LesionPatches
from medgan_core.data.samples import Samples
from medgan_core.data.stacks import load_stacks
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation

PIXEL_MM = 1.0
_SHAPE = (32, 32, 8)
_LESION = "lesion"
_JUDGED_SHARE = 0.5


def patch_size(spatial_dims: int) -> tuple[int, ...]:
    """Sides of a patch: (i, j) of an axial slice, and in 3D so many neighbouring slices, however thick."""
    return _SHAPE[:spatial_dims]


def brain_patches(
    data: Path,
    *,
    contrast: str,
    spatial_dims: int,
    lesions: float,
    fold: int,
    seed: int,
    validation: bool,
    side: int = _SHAPE[0],
    margin: int = 0,
) -> Patches:
    """Patches of the patients to train on, slightly moved and mirrored, or of those left out as they are.

    Args:
        data: a manifest's folder, or a pack.
        contrast: of the patches.
        spatial_dims: 2 for axial slices, 3 for slabs of them.
        lesions: share of the training patches that show a lesion; of the others it is half.
        fold: cross-validation fold whose patients are left out; -1 leaves out those listed as ``val``.
        seed: of the samples.
        validation: the patients left out.
        side: of a patch along i and j.
        margin: pixels of the surroundings that are shown on every side, see `LesionPatches`.
    """
    stacks = load_stacks(
        open_training_set(data),
        [contrast],
        validation=validation,
        fold=fold,
        label=_LESION,
        pixel_mm=PIXEL_MM,
    )
    return Patches(
        LesionPatches(
            stacks,
            size=(side, side),
            depth=_SHAPE[2] if spatial_dims == 3 else 1,
            share=_JUDGED_SHARE if validation else lesions,
            margin=margin,
            augmentation=Augmentation(),
            seed=seed,
            validation=validation,
        )
    )


class Patches:
    """Patches with the same keys as labelled crops have, and slices along the last axis.

    Args:
        patches: from where.
    """

    def __init__(self, patches: LesionPatches) -> None:
        self._patches = patches
        self.patients = patches.patients

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, *size) float32, label map (1, *size) int64 (1 is lesion), lesion (0 or 1) int64, case."""
        sample = self._patches[number]
        return {
            "image": _upright(sample["image"]),
            "label": _upright(sample["mask"]).long(),
            "lesion": sample["label"].long(),
            "case": sample["case"],
        }


class LesionFree:
    """Those of the patches of patients left out that show no lesion.

    Args:
        patches: of which every second one does, beginning with one that does not.
    """

    def __init__(self, patches: Samples) -> None:
        self._patches = patches

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The patch."""
        return self._patches[2 * number]


def _upright(image: Tensor) -> Tensor:
    return image.movedim(1, -1) if image.ndim == 4 else image
