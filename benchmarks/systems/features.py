"""The space in which sets of images are compared: features of a segmentation network trained here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.baselines import pca
from benchmarks.systems.crops import Crops
from medgan_core.networks.segmentation_unet import SegmentationUNet

FEATURES = """\
Features are those of the run `segmentation`, a U-Net that was trained to segment the hippocampus on real
images of the training patients: the means over the image of every level of its encoder, each feature shifted
and scaled to mean 0 and variance 1 over the training images."""

FRECHET_DIMENSIONS = 40
"""The Frechet distance is taken on so many principal components, so that the images suffice for it."""

Rows = NDArray[np.float32]
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Images to features; `fit` makes it.

    Args:
        network: in evaluation mode.
        mean: (d,) of the training images.
        spread: (d,) of the training images.
        components: of the training images' features.
    """

    network: SegmentationUNet
    mean: Rows
    spread: Rows
    components: pca.PrincipalComponents

    @staticmethod
    def fit(network: SegmentationUNet, training: Tensor) -> FeatureSpace:
        """The space with the scale of the training images (n, 1, *spatial)."""
        raw = _pooled(network, training)
        mean, spread = raw.mean(axis=0), raw.std(axis=0) + 1e-6
        rank = min(FRECHET_DIMENSIONS, raw.shape[1])
        return FeatureSpace(network, mean, spread, pca.fit((raw - mean) / spread, rank=rank))

    def of(self, images: Tensor) -> Rows:
        """Images (n, 1, *spatial) in 0 to 1 to (n, d)."""
        return (_pooled(self.network, images) - self.mean) / self.spread

    def narrow(self, rows: Rows) -> Rows:
        """Features (n, d) to their first principal components."""
        return self.components.encode(rows)


@dataclass(frozen=True, eq=False)
class RealFeatures:
    """Real images with their features.

    Args:
        crops: the images.
        rows: (n, d).
    """

    crops: Crops
    rows: Rows


def _pooled(network: SegmentationUNet, images: Tensor) -> Rows:
    """Means over the image of every level of the encoder, (n, d)."""
    found = []
    with torch.no_grad():
        for part in torch.split(images, _AT_ONCE):
            levels = [network.stem(part)]
            for down in network.down:
                levels.append(down(levels[-1]))
            levels[-1] = network.middle(levels[-1])
            found.append(torch.cat([level.flatten(2).mean(2) for level in levels], dim=1))
    return torch.cat(found).numpy()
