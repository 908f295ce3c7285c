"""One image as another scan might have shown it: tone, motion, resolution and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.physics.noise import rician

_CENTRE = 0.08
"""Share of the k-space lines on either side of the middle that is measured in the first pose."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a head lies after a jerk.

    Args:
        turn: in plane, in radians.
        shift: along the two in-plane axes, in mm.
    """

    turn: float
    shift: tuple[float, float]


def toned(image: Tensor, gamma: float, gain: float) -> Tensor:
    """``gain * image^gamma``, negative values mirrored; any shape, 1 is the foreground's percentile."""
    return gain * image.sign() * image.abs() ** gamma


def jerked(
    images: Tensor, poses: Sequence[Pose], starts: Sequence[float], pixel_mm: Sequence[float]
) -> Tensor:
    """Slices whose head jerked while k-space was measured line after line along the second axis.

    Lines from a jerk to the next show the head in that pose. Those around the middle of k-space, which say
    where everything lies, show it unmoved, so that a label map stays in place. Source: Shaw et al., "MRI
    k-space motion artefact augmentation", MIDL 2019, in plane.

    Args:
        images: (slices, i, j).
        poses: after each jerk.
        starts: share of the lines that was measured before each jerk, rising.
        pixel_mm: along (i, j).

    Returns:
        The magnitude, the same shape.
    """
    lines = images.shape[2]
    line = torch.arange(lines)
    pose = torch.bucketize((line + 0.5) / lines, torch.tensor(list(starts)))
    pose[(line - lines // 2).abs() <= _CENTRE * lines] = 0
    space = torch.fft.fftshift(torch.fft.fft(images, dim=2), dim=2)
    for number, one in enumerate(poses, start=1):
        other = torch.fft.fftshift(torch.fft.fft(moved(images, one, pixel_mm), dim=2), dim=2)
        space = torch.where(pose == number, other, space)
    shown: Tensor = torch.fft.ifft(torch.fft.ifftshift(space, dim=2), dim=2).abs()
    return shown


def moved(images: Tensor, pose: Pose, pixel_mm: Sequence[float]) -> Tensor:
    """Slices (n, i, j) turned about their middle and shifted; 0 where nothing was seen."""
    half = torch.tensor([n * side / 2 for n, side in zip(images.shape[1:], pixel_mm, strict=True)])
    turn = torch.tensor(pose.turn)
    matrix = torch.stack([torch.stack([turn.cos(), -turn.sin()]), torch.stack([turn.sin(), turn.cos()])])
    # In units of half a side, last axis first, as torch's grids have it.
    scaled = (matrix * half / half[:, None]).flip(0, 1)
    theta = torch.cat([scaled, (torch.tensor(pose.shift) / half).flip(0)[:, None]], dim=1)
    grid = functional.affine_grid(theta[None], [1, 1, *images.shape[1:]], align_corners=False)
    return functional.grid_sample(images[None], grid, align_corners=False)[0]


def measured(image: Tensor, size: Sequence[int], sigma: float, *, generator: torch.Generator) -> Tensor:
    """Larger voxels with Rician noise, interpolated linearly onto the grid there was.

    Args:
        image: (i, j, k), non-negative.
        size: voxels along each axis that are measured within the same outer faces, at most the image's; each
            is the mean over its extent.
        sigma: of the noise, in the unit of the image.
        generator: source of the noise.
    """
    coarse = image
    if tuple(size) != tuple(image.shape):
        coarse = functional.interpolate(image[None, None], size=tuple(size), mode="area")[0, 0]
    if sigma > 0:
        coarse = rician(coarse, sigma, generator=generator)
    if coarse.shape == image.shape:
        return coarse
    fine = functional.interpolate(
        coarse[None, None], size=tuple(image.shape), mode="trilinear", align_corners=False
    )
    return fine[0, 0]
