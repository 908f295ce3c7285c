"""Real hippocampus images that systems are judged against: as they are, or as training shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.crops import LabelledCrops
from medgan_core.data.study import part
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation
from medgan_core.training.recipes.crops import SHAPE

IMAGE, LABEL = "T1", "labels"


@dataclass(frozen=True, eq=False)
class Crops:
    """Real images of one split.

    Args:
        images: (n, 1, *spatial), 0 to 1, brighter voxels clipped as in training.
        labels: (n, 1, *spatial), int64.
        patients: (n,), number of the patient each is of.
    """

    images: Tensor
    labels: Tensor
    patients: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Crops:
        """Those that are chosen, (n,)."""
        mask = torch.from_numpy(chosen)
        return Crops(self.images[mask], self.labels[mask], self.patients[chosen])

    def halves(self) -> tuple[Crops, Crops]:
        """Two sets of every second patient each."""
        odd = self.patients % 2 == 1
        return self.of(~odd), self.of(odd)

    def any(self, count: int, *, seed: int) -> Crops:
        """So many images drawn without replacement, or all where there are no more."""
        chosen = np.zeros(len(self.patients), dtype=bool)
        chosen[np.random.default_rng(seed).permutation(len(chosen))[:count]] = True
        return self.of(chosen)

    @property
    def people(self) -> int:
        """How many patients there are."""
        return len(np.unique(self.patients))


@cache
def real_crops(data: Path, *, spatial_dims: int, validation: bool, augmented: bool = False) -> Crops:
    """Every sagittal slice with enough labels (2D) or every crop (3D) of a split, read once.

    Args:
        data: folder with the manifest, or a pack.
        spatial_dims: 2 or 3.
        validation: the patients listed as val, not those that are trained on.
        augmented: instead as many drawn as training draws them, moved, turned and changed in brightness.
    """
    held = open_training_set(data)
    studies = held.select(images=[IMAGE], labels=[LABEL], coverage=("crop",))
    chosen = part(studies, validation=validation, purpose="crops to judge by")
    cases = [held.case(study, (IMAGE, LABEL)) for study in chosen]
    # Validation samples are those that are not augmented, one after the other.
    crops = LabelledCrops(
        cases,
        shape=SHAPE,
        spatial_dims=spatial_dims,
        axis=0,
        augmentation=Augmentation(),
        validation=not augmented,
    )
    samples = [crops[n] for n in range(len(crops))]
    return Crops(
        torch.stack([s["image"] for s in samples]).clamp(0, 1),
        torch.stack([s["label"] for s in samples]),
        np.array([int(s["case"]) for s in samples]),
    )
