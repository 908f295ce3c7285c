"""Noise: that of magnitude MR images, and fields that something else is made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rician(image: Tensor, sigma: float | Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Magnitude of the image with complex Gaussian noise: ``sqrt((x + n1)^2 + n2^2)``.

    Source: Gudbjartsson & Patz, "The Rician distribution of noisy MRI data", Magn Reson Med 1995.

    Args:
        image: any shape, non-negative.
        sigma: standard deviation of each of the two parts, a number or a map that broadcasts; in the
            unit of the image.
        generator: source of randomness; None uses torch's own.
    """
    real = torch.randn(image.shape, generator=generator, dtype=image.dtype)
    imaginary = torch.randn(image.shape, generator=generator, dtype=image.dtype)
    return torch.sqrt((image + sigma * real) ** 2 + (sigma * imaginary) ** 2)


def smooth_field(
    shape: tuple[int, ...], knots: int, *, generator: torch.Generator | None = None, depth_knots: int = 2
) -> Tensor:
    """Smooth Gaussian random field: white noise on few knots, interpolated linearly.

    Args:
        shape: (d, h, w).
        knots: along h and w.
        depth_knots: along d.
        generator: source of randomness.

    Returns:
        Field of the given shape, about unit variance at the knots.
    """
    layers = min(depth_knots, max(shape[0], 1))
    coarse = torch.randn((layers, 1, knots, knots), generator=generator)
    # In plane, then along d: three times as fast on a CPU as torch's trilinear interpolation.
    planes = torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear", align_corners=True)
    place = torch.linspace(0, layers - 1, shape[0])[:, None]
    weight = (1 - (place - torch.arange(layers)).abs()).clamp(min=0)
    field: Tensor = torch.tensordot(weight, planes[:, 0], dims=1)
    return field


def coarse_noise(
    shape: tuple[int, int], cell: float, *, generator: torch.Generator | None = None, smooth: bool = False
) -> Tensor:
    """White noise on a coarse grid at a random place, interpolated: spots about as large as its cells.

    Source: Kascenas et al., "Denoising autoencoders for unsupervised anomaly detection in brain MRI",
    MIDL 2022, section 2.2.

    Args:
        shape: (h, w).
        cell: side of the grid's cells in pixels.
        generator: source of randomness; None uses torch's own.
        smooth: interpolate cubically instead of linearly.

    Returns:
        Field of the given shape, unit variance in the middle of the cells.
    """
    counts = [math.ceil(n / cell) + 3 for n in shape]
    drawn = torch.randn((1, 1, *counts), generator=generator)
    sides = [math.ceil(count * cell) for count in counts]
    mode = "bicubic" if smooth else "bilinear"
    field = torch.nn.functional.interpolate(drawn, size=sides, mode=mode)[0, 0]
    for axis, (side, wanted) in enumerate(zip(sides, shape, strict=True)):
        first = int(torch.randint(side - wanted + 1, (1,), generator=generator))
        field = field.narrow(axis, first, wanted)
    return field
