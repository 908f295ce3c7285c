"""Augmentation that gradients pass through, of everything a discriminator sees.

Real and generated images go through random transforms of the same distribution, so a discriminator on little
data cannot learn the images by heart, and the generator does not learn the transforms. Sources: Zhao et al.,
"Differentiable augmentation for data-efficient GAN training", NeurIPS 2020; the probability of a transform:
Karras et al., "Training generative adversarial networks with limited data", NeurIPS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid

from medgan_core.errors import UsageError
from medgan_core.training.resample import sample


@dataclass(frozen=True, kw_only=True)
class DiffAugment:
    """How strong the random transforms are; 0 or () switches one off.

    The defaults of brightness, contrast, translation and cutout are those of Zhao et al., for images in [-1,
    1].

    Args:
        brightness: largest offset of the intensities, either way.
        contrast: each channel's deviation from its mean is scaled by ``1 - contrast`` to ``1 + contrast``.
        translation: largest shift along each axis, as a share of the side.
        rotation: largest angle in degrees, in the plane (2D) or about each axis (3D).
        scaling: the size changes by a factor of up to ``1 + scaling``, either way.
        cutout: side of the box that is blanked, as a share of the image's.
        flips: spatial axes along which a mirror image is as plausible as the image; each mirrors every other.
        probability: of brightness, of contrast, of the three that move, and of cutout, for each image.
        background: intensity of air; what comes in from outside, and what is cut out, gets it.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    translation: float = 0.125
    rotation: float = 5.0
    scaling: float = 0.05
    cutout: float = 0.5
    flips: tuple[int, ...] = ()
    probability: float = 1.0
    background: float = -1.0

    def draw(self, count: int, *, spacing: Sequence[float], generator: torch.Generator) -> Augmentation:
        """Random parameters for a batch.

        Args:
            count: images in the batch.
            spacing: mm per voxel along each spatial axis; their ratio keeps rotations rigid.
            generator: draws everything, on its own device.

        Raises:
            UsageError: as `resolve`.
        """
        shape = (count, self.numbers(len(spacing)))
        numbers = torch.rand(shape, generator=generator, device=generator.device)
        return self.resolve(numbers, spacing=spacing)

    @staticmethod
    def numbers(spatial_dims: int) -> int:
        """How many random numbers `resolve` takes per image."""
        return sum(_columns(spatial_dims))

    def resolve(self, numbers: Tensor, *, spacing: Sequence[float]) -> Augmentation:
        """Parameters from uniform random numbers that were drawn elsewhere.

        Args:
            numbers: (n, `numbers(spatial_dims)`), in [0, 1).
            spacing: as in `draw`.

        Raises:
            UsageError: when spacing or flips do not fit two or three spatial axes.
        """
        dims = len(spacing)
        if dims not in (2, 3) or min(spacing) <= 0 or not set(self.flips) <= set(range(dims)):
            raise UsageError(
                "The augmentation does not fit the images",
                expected="2 or 3 positive spacings, flips along axes the images have",
                got=f"spacing {tuple(spacing)}, flips {self.flips}",
            )
        chance, *amounts = torch.split(numbers, _columns(dims), dim=1)
        on_bright, on_contrast, on_move, on_cutout = (chance < self.probability).to(numbers).chunk(4, dim=1)
        bright, contrast, zoom, angles, shift, place, mirror = (2 * a - 1 for a in amounts)
        may_flip = torch.tensor([axis in self.flips for axis in range(dims)], device=numbers.device)
        signs = torch.where((mirror < 0) & may_flip, -1.0, 1.0).to(numbers)
        turn = _rotation(math.radians(self.rotation) * angles * on_move)
        size = torch.exp(math.log1p(self.scaling) * zoom * on_move)
        return Augmentation(
            offset=self.brightness * bright * on_bright,
            gain=1 + self.contrast * contrast * on_contrast,
            matrix=turn * signs[:, None] / size[:, None],
            shift=2 * self.translation * shift * on_move,
            box=place,
            reach=self.cutout * on_cutout,
            background=self.background,
            spacing=tuple(map(float, spacing)),
        )


@dataclass(frozen=True)
class Augmentation:
    """Transforms with their parameters drawn: the same for every batch they are applied to.

    Images that belong together (a condition and its target) go through the same one. Lengths along an axis
    are in halves of the image's side, from its centre, so the border is at -1 and 1.

    Args:
        offset: (n, 1), added.
        gain: (n, 1), of the deviation from a channel's mean.
        matrix: (n, d, d), from a place in the result to one in the image, in mm from the centre.
        shift: (n, d), added to that place.
        box: (n, d), centre of the box that is blanked.
        reach: (n, 1), half of its side.
        background: intensity of air.
        spacing: mm per voxel along each spatial axis.
    """

    offset: Tensor
    gain: Tensor
    matrix: Tensor
    shift: Tensor
    box: Tensor
    reach: Tensor
    background: float
    spacing: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Move, then change the intensities, then blank: (n, c, *spatial) to the same shape.

        Differentiable any number of times. Computed in fp32 at least.

        Raises:
            UsageError: when the batch does not fit the parameters.
        """
        moved = self.warp(images, background=self.background)
        spatial = tuple(range(2, moved.ndim))
        gain, offset = (_like(p, moved) for p in (self.gain, self.offset))
        mean = moved.mean(spatial, keepdim=True)
        bright = mean + gain * (moved - mean) + offset
        return torch.where(self._box(moved), self.background, bright)

    def warp(self, images: Tensor, *, background: float) -> Tensor:
        """Only move, by linear interpolation: also for one-hot label maps (background 0) of the same images.

        Raises:
            UsageError: when the batch does not fit the parameters.
        """
        if len(images) != len(self.matrix) or images.ndim != 2 + len(self.spacing):
            raise UsageError(
                "The augmentation was drawn for other images",
                expected=f"{len(self.matrix)} images of {len(self.spacing)} spatial axes",
                got=f"shape {tuple(images.shape)}",
            )
        with torch.autocast(images.device.type, enabled=False):
            full = images if images.dtype == torch.float64 else images.float()
            half = torch.tensor([n * s / 2 for n, s in zip(images.shape[2:], self.spacing, strict=True)]).to(
                full
            )
            matrix = self.matrix.to(full) * half / half[:, None]
            # torch counts the last axis first here.
            place = torch.cat([matrix.flip(1, 2), self.shift.to(full).flip(1)[..., None]], dim=2)
            grid = affine_grid(place, list(full.shape), align_corners=False)
            return sample(full - background, grid) + background

    def _box(self, images: Tensor) -> Tensor:
        """(n, 1, *spatial), True where the image is blanked."""
        inside = torch.ones_like(images[:, :1], dtype=torch.bool)
        box, reach = self.box.to(images), _like(self.reach, images)
        for axis, size in enumerate(images.shape[2:]):
            along = [1] * images.ndim
            along[axis + 2] = size
            place = (2 * torch.arange(size, device=images.device, dtype=images.dtype) + 1) / size - 1
            inside = inside & ((place.reshape(along) - _like(box[:, axis], images)).abs() < reach)
        return inside


def _columns(dims: int) -> list[int]:
    """Numbers per image: four chances, then offset, gain, zoom, angles, shift, box and mirror."""
    return [4, 1, 1, 1, dims * (dims - 1) // 2, dims, dims, dims]


def _rotation(angles: Tensor) -> Tensor:
    """(n, 1) angles in a plane or (n, 3) rotation vectors, in radians, to matrices (n, d, d)."""
    dims = 2 if angles.shape[1] == 1 else 3
    first, second = torch.triu_indices(dims, dims, offset=1)
    skew = angles.new_zeros(len(angles), dims, dims)
    skew[:, first, second] = -angles
    skew[:, second, first] = angles
    matrices: Tensor = torch.linalg.matrix_exp(skew)
    return matrices


def _like(parameter: Tensor, images: Tensor) -> Tensor:
    """One number per image, (n,) or (n, 1), so that it broadcasts over (n, c, *spatial)."""
    return parameter.to(images).reshape(-1, *(1,) * (images.ndim - 1))
