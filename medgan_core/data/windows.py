"""Cutting windows out of images in 2D and 3D, moved, turned and mirrored at random.

A window is cut once, with one interpolation; without augmentation it is cut exactly, voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How samples differ from what is in the files; angles and factors are drawn from normal distributions.

    Args:
        flip: probability of mirroring the first spatial axis (left and right where that is i).
        rotation_deg: standard deviation of the angle, about every axis in 3D.
        scale: standard deviation of the logarithm of the size.
        shift: largest shift of the window along each axis, in voxels.
        gain: standard deviation of the logarithm of the brightness.
        gamma: standard deviation of the logarithm of the exponent.
    """

    flip: float = 0.5
    rotation_deg: float = 5.0
    scale: float = 0.05
    shift: float = 3.0
    gain: float = 0.05
    gamma: float = 0.05

    def window(self, centre: Sequence[float], size: Sequence[int], rng: np.random.Generator) -> Window:
        """A window near a centre (voxel coordinates) of so many voxels."""
        dims = len(size)
        matrix = np.eye(dims)
        for a in range(dims):
            for b in range(a + 1, dims):
                angle = np.deg2rad(rng.normal(0, self.rotation_deg))
                turn = np.eye(dims)
                turn[a, a] = turn[b, b] = np.cos(angle)
                turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
                matrix = matrix @ turn
        matrix *= np.exp(-rng.normal(0, self.scale))
        if rng.random() < self.flip:
            matrix[:, 0] *= -1
        moved = [c + rng.uniform(-self.shift, self.shift) for c in centre]
        return Window(tuple(moved), tuple(size), tuple(map(tuple, matrix.tolist())))

    def intensity(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """``gain * image^gamma`` of non-negative images (c, *spatial), drawn for each channel."""
        shape = (len(image),) + (1,) * (image.ndim - 1)
        gain, gamma = (
            torch.from_numpy(np.exp(rng.normal(0, s, len(image)))).float().reshape(shape)
            for s in (self.gain, self.gamma)
        )
        return gain * image.clamp(min=0) ** gamma


@dataclass(frozen=True)
class Window:
    """Where a sample lies in an image.

    Args:
        centre: voxel coordinates (voxel centres are whole numbers).
        size: voxels of the sample.
        matrix: from the sample's voxel steps to the image's; None is the identity, for which the centre
            is moved to the nearest place where voxels coincide.
    """

    centre: tuple[float, ...]
    size: tuple[int, ...]
    matrix: tuple[tuple[float, ...], ...] | None = None

    def cut(self, image: Tensor, *, mirror: bool = False) -> Tensor:
        """The window of (c, *spatial) with linear interpolation.

        Args:
            image: floating.
            mirror: outside of the image is its mirror image; otherwise 0.

        Returns:
            (c, *size), float32.
        """
        if self.matrix is None:
            return self._exact(image, mirror=mirror).float()
        return self._sampled(image.float(), "bilinear", mirror=mirror)

    def cut_labels(self, labels: Tensor) -> Tensor:
        """The window of whole-number labels (c, *spatial), nearest neighbour, 0 outside; int64."""
        if self.matrix is None:
            return self._exact(labels, mirror=False).long()
        return self._sampled(labels.float(), "nearest", mirror=False).round().long()

    def _exact(self, image: Tensor, *, mirror: bool) -> Tensor:
        for axis, (centre, size) in enumerate(zip(self.centre, self.size, strict=True), start=1):
            count = image.shape[axis]
            index = torch.arange(size) + int(np.floor(centre - (size - 1) / 2 + 0.5))
            folded = index.remainder(2 * count)
            piece = image.index_select(axis, torch.minimum(folded, 2 * count - 1 - folded))
            if not mirror:
                shape = [1] * image.ndim
                shape[axis] = size
                piece = piece * ((index >= 0) & (index < count)).reshape(shape)
            image = piece
        return image

    def _sampled(self, image: Tensor, mode: str, *, mirror: bool) -> Tensor:
        # torch: an axis of n voxels runs from -1 to 1, outer edge to outer edge; the last axis comes first.
        there, size = np.array(image.shape[1:], dtype=np.float64), np.array(self.size, dtype=np.float64)
        linear = np.array(self.matrix) * size[None, :] / there[:, None]
        offset = (2 * np.array(self.centre) + 1) / there - 1
        theta = np.concatenate([linear[::-1, ::-1], offset[::-1, None]], axis=1)
        grid = functional.affine_grid(
            torch.from_numpy(theta[None].copy()).float(), [1, len(image), *self.size], align_corners=False
        )
        padding = "reflection" if mirror else "zeros"
        return functional.grid_sample(
            image[None], grid, mode=mode, padding_mode=padding, align_corners=False
        )[0]


def window(
    centre: Sequence[float], size: Sequence[int], augmentation: Augmentation | None, rng: np.random.Generator
) -> Window:
    """A window at a centre: exact without augmentation."""
    if augmentation is None:
        return Window(tuple(centre), tuple(size))
    return augmentation.window(centre, size, rng)
