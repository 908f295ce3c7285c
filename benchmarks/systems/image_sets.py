"""How far a set of generated hippocampus images is from the real ones: every figure, in one place."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.baselines import pca
from benchmarks.systems.crops import Crops, real_crops
from benchmarks.systems.features import FeatureSpace, RealFeatures
from benchmarks.systems.judged import Bench
from benchmarks.systems.kernel import Distance, grouped_kernel_distance
from medgan_core.metrics.copies import find_copies
from medgan_core.metrics.density_coverage import manifold_scores
from medgan_core.metrics.diversity import mean_pairwise_similarity
from medgan_core.metrics.frechet import frechet_distance
from medgan_core.networks.segmentation_unet import SegmentationUNet
from medgan_core.training.recipes.pictures import Pictures

FEATURE_RUN = "segmentation"
COPY_DIMENSIONS = 128
"""So many components hold nearly all that tells one training image from another, at a tenth of the cost."""

_SEED = 0


class ImageSets:
    """The real sets with their features, read when they are first needed.

    Args:
        bench: data and runs; the run `FEATURE_RUN` is finished.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._opened = bench.runs.open(FEATURE_RUN)

    @cached_property
    def training(self) -> RealFeatures:
        """Of the patients that were trained on, augmented as in training."""
        return self._features(validation=False, augmented=True)

    @cached_property
    def held_back(self) -> RealFeatures:
        """Of the patients listed as val, augmented as training would."""
        return self._features(validation=True, augmented=True)

    @cached_property
    def unmoved(self) -> RealFeatures:
        """Of the patients listed as val, not augmented."""
        return self._features(validation=True, augmented=False)

    @cached_property
    def real_similarity(self) -> float:
        """Mean pairwise MS-SSIM of the held-back images."""
        return mean_pairwise_similarity(self.held_back.crops.images.numpy(), seed=_SEED).mean

    def distance(
        self,
        images: Tensor,
        groups: NDArray[np.int64] | None = None,
        *,
        reference: RealFeatures | None = None,
    ) -> Distance:
        """KID of images (n, 1, *spatial) to the held-back ones, or to another reference.

        Args:
            images: in 0 to 1.
            groups: (n,), whose each image is, where they are real.
            reference: to compare with.
        """
        real = reference or self.held_back
        return grouped_kernel_distance(
            real.rows, real.crops.patients, self._space.of(images), groups, seed=_SEED
        )

    def figures(
        self,
        images: Tensor,
        groups: NDArray[np.int64] | None = None,
        *,
        reference: RealFeatures | None = None,
    ) -> dict[str, Any]:
        """All figures but the copy rate, as plain JSON types; arguments as `distance`."""
        real = reference or self.held_back
        rows = self._space.of(images)
        near = manifold_scores(real.rows, rows)
        frechet = frechet_distance(self._space.narrow(real.rows), self._space.narrow(rows))
        return {
            "images": len(images),
            "kid": self.distance(images, groups, reference=reference).to_dict(),
            "kid_unmoved": self.distance(images, groups, reference=self.unmoved).to_dict(),
            "frechet": frechet.value,
            "frechet_remark": frechet.remark,
            "density": near.density,
            "coverage": near.coverage,
            "expected_coverage": near.expected_coverage,
            "similarity": mean_pairwise_similarity(images.numpy(), seed=_SEED).mean,
        }

    @cached_property
    def components(self) -> pca.PrincipalComponents:
        """Of the training images' voxels."""
        return pca.fit(self.training.crops.images.numpy())

    def of_run(self, name: str) -> dict[str, Any]:
        """`figures` of what a finished run draws; judged once."""

        def judge() -> dict[str, Any]:
            return self.figures(self._bench.runs.open(name).draw(self._bench.images, seed=_SEED)["image"])

        found: dict[str, Any] = self._bench.judged(f"images-{name}", judge, runs=[FEATURE_RUN, name])
        return found

    def copies(self, images: Tensor) -> dict[str, float]:
        """Copy rates of generated images, by distances on the first principal components of the voxels."""
        rank = min(COPY_DIMENSIONS, self.components.rank)
        # A copy may be one of the image as it is or of an augmented one.
        known = (self._real(validation=False, augmented=False), self.training.crops)
        sets = (images, torch.cat([c.images for c in known]), self.held_back.crops.images)
        generated, training, held_back = (self.components.encode(s.numpy(), coefficients=rank) for s in sets)
        patients = np.concatenate([c.patients for c in known])
        found = find_copies(generated, training, held_back, patients=patients)
        return {
            "copies": found.rate,
            "singled_out": found.singled_out_rate,
            "held_back_copies": found.held_back_rate,
            "held_back_singled_out": found.held_back_singled_out_rate,
        }

    def _features(self, *, validation: bool, augmented: bool) -> RealFeatures:
        crops = self._real(validation=validation, augmented=augmented)
        return RealFeatures(crops, self._space.of(crops.images))

    def _real(self, *, validation: bool, augmented: bool) -> Crops:
        dims = cast("Pictures", self._opened.recipe).spatial_dims
        return real_crops(self._bench.data, spatial_dims=dims, validation=validation, augmented=augmented)

    @cached_property
    def _space(self) -> FeatureSpace:
        network = cast("SegmentationUNet", self._opened.networks.exact("model"))
        return FeatureSpace.fit(network, self._real(validation=False, augmented=True).images)
