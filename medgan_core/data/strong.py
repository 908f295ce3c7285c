"""Strong classical augmentation, as a segmentation from few labelled images needs it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medgan_core.data.draws import TRAINING, generators
from medgan_core.data.samples import Samples
from medgan_core.data.windows import Augmentation

_SEEDS = 2**32


@dataclass(frozen=True, kw_only=True)
class StrongAugmentation(Augmentation):
    """nnU-Net's list, through MONAI: noise, blur, brightness, contrast, low resolution and gamma.

    Rotation, scaling, shift and mirroring are those of `Augmentation`, only larger. Source: Isensee et al.,
    "nnU-Net", Nature Methods 2021, supplementary note 4, with its probabilities.
    """

    rotation_deg: float = 10.0
    scale: float = 0.1
    shift: float = 4.0

    def intensity(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Images (c, *spatial) with spatial axes in 3D, foreground about 1, changed at random."""
        chain = _chain()
        chain.set_random_state(seed=int(rng.integers(_SEEDS)))
        return torch.as_tensor(np.asarray(chain(image)), dtype=torch.float32)


@functools.cache
def _chain() -> Any:
    """MONAI's transforms, made once in each process."""
    # Imported late: MONAI's transforms take seconds to import.
    from monai.transforms.compose import Compose
    from monai.transforms.intensity import array as intensity
    from monai.transforms.spatial.array import RandSimulateLowResolution

    return Compose(
        [
            intensity.RandGaussianNoise(prob=0.1, std=0.1),
            intensity.RandGaussianSmooth((0.5, 1.0), (0.5, 1.0), (0.5, 1.0), prob=0.2),
            intensity.RandScaleIntensity(prob=0.15, factors=(-0.25, 0.25)),
            intensity.RandScaleIntensityFixedMean(prob=0.15, factors=(-0.25, 0.25), preserve_range=True),
            RandSimulateLowResolution(prob=0.25, zoom_range=(0.5, 1.0)),
            intensity.RandAdjustContrast(prob=0.1, gamma=(0.7, 1.5), invert_image=True, retain_stats=True),
            intensity.RandAdjustContrast(prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
        ]
    )


class Augmented:
    """Samples of one size, such as generated ones, augmented as crops of patients are.

    Args:
        samples: with an ``image`` (1, *size) and a ``label`` map of the same shape.
        augmentation: of each.
        seed: of the augmentation.
    """

    def __init__(self, samples: Samples, augmentation: Augmentation, *, seed: int) -> None:
        self._samples, self._augmentation, self._seed = samples, augmentation, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """The sample with another image and label map."""
        rng, _ = generators(self._seed, number, TRAINING)
        sample = self._samples[number]
        size = sample["image"].shape[1:]
        # A generated image ends where a crop of a patient goes on, so it is not shifted.
        still = replace(self._augmentation, shift=0.0)
        where = still.window([(n - 1) / 2 for n in size], size, rng)
        image = self._augmentation.intensity(where.cut(sample["image"], mirror=True), rng)
        return {**sample, "image": image, "label": where.cut_labels(sample["label"])}
