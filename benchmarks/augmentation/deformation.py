"""Labelled crops deformed towards each other: anatomy between and a little beyond that of the patients.

The deformations are those between the label maps of two patients, so a crop takes on differences that
people have. Source: Hauberg et al., "Dreaming more data", AISTATS 2016, here with the deformations themselves
instead of a distribution over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medgan_core.data.cases import Case
from medgan_core.data.windows import Window
from medgan_core.training.recipes.crops import SHAPE

_BLUR, _ITERATIONS, _SMOOTH = 1.5, 60, 1.5
_REACH = (0.3, 1.2)
"""Share of the deformation that is gone: 1 arrives at the other patient's map, about."""

_WAYS = 128
"""Deformations between two patients that all crops are drawn from: each takes seconds to find."""

Array = NDArray[np.float32]


class Deformed:
    """Crops of a few patients, deformed.

    Args:
        cases: labelled crops.
        image: key of the image.
        label: key of the label map.
    """

    def __init__(self, cases: Sequence[Case], *, image: str = "T1", label: str = "labels") -> None:
        self._images, self._labels = [], []
        self._found: dict[tuple[int, int], Array] = {}
        for case in cases:
            values, labels = pair(case, image=image, label=label)
            self._images.append(values)
            self._labels.append(labels)

    def __len__(self) -> int:
        """Patients."""
        return len(self._images)

    def draw(self, count: int, *, seed: int) -> tuple[Tensor, Tensor, list[int]]:
        """Pairs of image (n, 1, *SHAPE) and label map of the same shape, and the patient each comes from."""
        images, labels, owners = [], [], []
        ways = np.random.default_rng(seed).permutation(len(self) ** 2)[:_WAYS]
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            source, target = divmod(int(ways[rng.integers(len(ways))]), len(self))
            field = self._way(source, target) * np.float32(rng.uniform(*_REACH))
            images.append(warped(self._images[source], field))
            labels.append(warped_labels(self._labels[source], field))
            owners.append(int(source))
        both = [torch.from_numpy(np.stack(parts))[:, None] for parts in (images, labels)]
        return both[0], both[1], owners

    def _way(self, source: int, target: int) -> Array:
        """The deformation of one patient's crop towards another's; found once."""
        if (source, target) not in self._found:
            wanted = self._nearer(self._labels[source], self._labels[target])
            self._found[source, target] = _field(self._labels[source], wanted)
        return self._found[source, target]

    @staticmethod
    def _nearer(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
        """The target, mirrored when it then overlaps better: crops show left and right hippocampi."""
        mirrored = target[::-1].copy()
        overlaps = [np.count_nonzero((source == one) & (source > 0)) for one in (target, mirrored)]
        return target if overlaps[0] >= overlaps[1] else mirrored


def pair(case: Case, *, image: str = "T1", label: str = "labels") -> tuple[Array, NDArray[np.int64]]:
    """A crop and its label map, (i, j, k) of `SHAPE` around the middle."""
    centre = [(n - 1) / 2 for n in case.images[image].geometry.shape]
    window = Window(tuple(centre), SHAPE)
    values = window.cut(torch.from_numpy(case.images[image].image())[None], mirror=True)
    return values[0].numpy(), window.cut_labels(torch.from_numpy(case.label(label))[None])[0].numpy()


def warped(image: Array, field: Array) -> Array:
    """The image (i, j, k) at ``x + field(x)``, field (3, i, j, k) in voxels; mirrored at the border."""
    places = np.indices(image.shape, dtype=np.float32) + field
    return np.asarray(ndimage.map_coordinates(image, places, order=1, mode="reflect"), dtype=np.float32)


def warped_labels(labels: NDArray[np.int64], field: Array) -> NDArray[np.int64]:
    """The label with the largest share at the place each voxel comes from."""
    shares = [warped((labels == value).astype(np.float32), field) for value in range(int(labels.max()) + 1)]
    return np.asarray(np.argmax(shares, axis=0), dtype=np.int64)


def _field(source: NDArray[np.int64], target: NDArray[np.int64]) -> Array:
    """Where each voxel of the target lies in the source, (3, i, j, k) voxels, by symmetric demons."""
    return demons([(_contrast(target), _contrast(source))])


def demons(pairs: Sequence[tuple[sitk.Image, sitk.Image]]) -> Array:
    """Field (3, i, j, k) in voxels of symmetric demons; each pair (fixed, moving) goes on from the last."""
    method = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    method.SetNumberOfIterations(_ITERATIONS)
    method.SetStandardDeviations(_SMOOTH)
    method.SetSmoothDisplacementField(True)
    method.SetNumberOfThreads(1)
    begun: tuple[sitk.Image, ...] = ()
    for fixed, moving in pairs:
        begun = (method.Execute(fixed, moving, *begun),)
    # SimpleITK's arrays run (k, j, i), the vectors in them (i, j, k).
    return np.ascontiguousarray(sitk.GetArrayFromImage(begun[0]).transpose(3, 2, 1, 0), dtype=np.float32)


def _contrast(labels: NDArray[np.int64]) -> sitk.Image:
    """The anterior part bright, the posterior one half as bright, blurred: edges that demons can follow."""
    brightness = np.array([0.0, 1.0, 0.5], dtype=np.float32)[labels]
    return sitk.DiscreteGaussian(sitk.GetImageFromArray(brightness.transpose(2, 1, 0)), [_BLUR**2] * 3)
