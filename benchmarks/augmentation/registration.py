"""Labelled crops carried onto unlabelled ones: the anatomy and the brightness of the population, few labels.

A labelled crop is registered to an image without a label, deformed with its map, and takes on the slow part
of the difference that remains. Image and map belong together however well the registration did. Source: Zhao
et al., "Data augmentation using learned transformations for one-shot medical image segmentation", CVPR 2019,
here with demons instead of learned registration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from benchmarks.augmentation.deformation import Array, demons, pair, warped, warped_labels
from medgan_core.data.cases import Case

_BLURS, _SLOW = (2.0, 1.0), 4.0
"""Standard deviations in voxels: of the images that are registered, and of what counts as brightness."""

_NEAREST = 3


class Registered:
    """Pairs for as many of the images as wanted, drawn again with another labelled crop when there are few.

    Args:
        labelled: crops with a map.
        images: crops whose maps are not looked at.
    """

    def __init__(self, labelled: Sequence[Case], images: Sequence[Case]) -> None:
        self._sources = [side for case in labelled for side in _sides(*pair(case))]
        self._targets = [pair(case)[0] for case in images]

    def draw(self, count: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Image (n, 1, *SHAPE) and label map of the same shape."""
        rng = np.random.default_rng(seed)
        order = [
            n for _ in range(-(-count // len(self._targets))) for n in rng.permutation(len(self._targets))
        ]
        made = [self._carried(self._targets[n], rng) for n in order[:count]]
        images, labels = (torch.from_numpy(np.stack(parts))[:, None] for parts in zip(*made, strict=True))
        return images, labels

    def _carried(self, target: Array, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """One of the most similar labelled crops as the target would show it."""
        distance = [float(np.square(_blurred(image - target)).mean()) for image, _ in self._sources]
        nearest = np.argsort(distance)[:_NEAREST]
        image, labels = self._sources[int(rng.choice(nearest))]
        field = _field(image, target)
        moved = warped(image, field)
        moved += ndimage.gaussian_filter(target - moved, _SLOW, mode="reflect")
        return np.clip(moved, 0, None), warped_labels(labels, field)


def _sides(image: Array, labels: NDArray[np.int64]) -> list[tuple[Array, NDArray[np.int64]]]:
    """A crop and its mirror image: crops show left and right hippocampi."""
    return [(image, labels), (image[::-1].copy(), labels[::-1].copy())]


def _blurred(image: Array) -> Array:
    return np.asarray(ndimage.gaussian_filter(image, _BLURS[0], mode="reflect"), dtype=np.float32)


def _field(source: Array, target: Array) -> Array:
    """Where each voxel of the target lies in the source, (3, i, j, k) voxels: coarse, then fine."""
    return demons([(_standard(target, sigma), _standard(source, sigma)) for sigma in _BLURS])


def _standard(image: Array, sigma: float) -> sitk.Image:
    """Mean 0, standard deviation 1, blurred."""
    plain = ((image - image.mean()) / max(float(image.std()), 1e-6)).astype(np.float32)
    return sitk.DiscreteGaussian(sitk.GetImageFromArray(plain.transpose(2, 1, 0)), [sigma**2] * 3)
