"""Recipes that serve more than one subject: crops of the hippocampus, or patches of brains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.crops import PARTS, crop_images, crop_size
from medgan_core.training.recipes.patches import brain_patches, patch_size

HIPPOCAMPUS, PATCH = "hippocampus", "patch"
CLASSES = {HIPPOCAMPUS: 3, PATCH: 2}
"""Labels of each subject's maps, background included: anterior and posterior part, or lesion."""


@dataclass(frozen=True, kw_only=True)
class Pictures(Recipe):
    """Images with label maps of one subject.

    The class variable `learns_labels` tells whether the values of label maps matter, or only what they show.
    Samples have an ``image`` (1, *size), a ``label`` map (1, *size), and where they are patches a
    ``lesion``, 1 when they show one.

    Args:
        subject: ``hippocampus`` (T1 crops of it and its two parts) or ``patch`` (of brains).
        spatial_dims: 2 for slices, 3 for volumes.
        contrast: of patches.
        lesions: share of the training patches that show a lesion; of the patients left out it is half.
        fold: cross-validation fold whose patients are left out; -1 leaves out those listed as ``val``. Only
            for patches.
    """

    learns_labels: ClassVar[bool] = False

    subject: str = HIPPOCAMPUS
    spatial_dims: int = 2
    contrast: str = "FLAIR"
    lesions: float = 0.0
    fold: int = -1

    def __post_init__(self) -> None:
        if self.subject not in CLASSES:
            raise UsageError("There is no such subject", expected=" or ".join(CLASSES), got=self.subject)
        if self.subject == HIPPOCAMPUS and self.fold >= 0:
            raise UsageError(
                "Crops of the hippocampus have a listed split and no folds",
                expected="fold -1",
                got=str(self.fold),
                action="leave fold out, or choose subject=patch",
            )

    @property
    def size(self) -> tuple[int, ...]:
        """Sides of an image."""
        sides = crop_size if self.subject == HIPPOCAMPUS else patch_size
        return sides(self.spatial_dims)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Images of the subject."""
        if self.subject == HIPPOCAMPUS:
            return crop_images(
                data,
                spatial_dims=self.spatial_dims,
                seed=self.seed,
                validation=validation,
                labels=PARTS if self.learns_labels else (),
            )
        return brain_patches(
            data,
            contrast=self.contrast,
            spatial_dims=self.spatial_dims,
            lesions=self.lesions,
            fold=self.fold,
            seed=self.seed,
            validation=validation,
        )


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Label maps (n, 1, *spatial), int64, as (n, classes, *spatial), float32."""
    return functional.one_hot(labels[:, 0], classes).movedim(-1, 1).float()
