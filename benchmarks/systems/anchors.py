"""What generated images are held against: real ones, and samplers that need no training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.systems.image_sets import FEATURE_RUN, ImageSets
from benchmarks.systems.judged import Bench

TRAINING, HALVES = "real: training", "real: halves of training"
GAUSSIAN, NOISE = "PCA-Gaussian", "noise"
ANCHORS = (TRAINING, HALVES, GAUSSIAN, NOISE)
_SEED = 0

Figures = dict[str, Any]


class Anchors:
    """Sets that need no generative network: real ones, and samplers fitted to the training images."""

    def __init__(self, bench: Bench, sets: ImageSets) -> None:
        self._bench, self._sets = bench, sets

    def judged(self, name: str) -> Figures:
        """Figures of one of `ANCHORS`; judged once."""
        count = self._bench.images
        makes: dict[str, Callable[[], Figures]] = {
            TRAINING: self._training,
            HALVES: self._halves,
            GAUSSIAN: lambda: self._with_copies(self.gaussian(count)),
            NOISE: lambda: self._with_copies(self.noise(count)),
        }
        found: Figures = self._bench.judged(f"generation-{name}", makes[name], runs=[FEATURE_RUN])
        return found

    def gaussian(self, count: int) -> Tensor:
        """Samples of the training images' Gaussian, cut to 0 to 1."""
        return torch.from_numpy(self._sets.components.sample(count, seed=_SEED)).clamp(0, 1)

    def noise(self, count: int) -> Tensor:
        """Every voxel for itself, with its mean and spread over the training images."""
        real = self._sets.training.crops.images
        numbers = np.random.default_rng(_SEED).standard_normal((count, *real.shape[1:]))
        return (real.mean(0) + real.std(0) * torch.from_numpy(numbers).float()).clamp(0, 1)

    def _with_copies(self, images: Tensor) -> Figures:
        return self._sets.figures(images) | self._sets.copies(images)

    def _training(self) -> Figures:
        some = self._sets.training.crops.any(self._bench.images, seed=_SEED)
        return self._sets.figures(some.images, some.patients)

    def _halves(self) -> Figures:
        training = self._sets.training
        first, second = training.crops.halves()
        rows = training.rows[training.crops.patients % 2 == 0]
        reference = dataclasses.replace(training, crops=first, rows=rows)
        some = second.any(self._bench.images, seed=_SEED)
        return self._sets.figures(some.images, some.patients, reference=reference)
