"""What scanners do to an image: gain, shading, noise. Applied to inputs, never to targets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medgan_core.physics.noise import rician, smooth_field


def scanner_effects(
    image: Tensor,
    rng: np.random.Generator,
    generator: torch.Generator,
    *,
    noise: float = 0.04,
    strength: float = 1.0,
) -> Tensor:
    """One contrast of a slab as another scanner might have given it.

    Args:
        image: (slices, i, j), non-negative, foreground about 1.
        rng: draws the parameters.
        generator: draws fields and noise.
        noise: largest sigma of the Rician noise.
        strength: of all effects; 0 leaves the image as it is.

    Returns:
        Same shape: ``rician(gain * image^gamma * exp(shading))``.
    """
    gamma = float(np.exp(rng.normal(0, 0.08 * strength)))
    shape = (image.shape[0], image.shape[1], image.shape[2])
    shading = torch.exp(float(rng.uniform(0, 0.18 * strength)) * smooth_field(shape, 4, generator=generator))
    out = (1 + strength * float(rng.uniform(-0.15, 0.15))) * image.clamp(min=0) ** gamma * shading
    if rng.random() < 0.6:
        air = (image == 0) if rng.random() < 0.5 else None
        out = rician(out, float(rng.uniform(0, strength * noise)), generator=generator)
        if air is not None:
            out = out.masked_fill(air, 0.0)
    return out


def noise_map(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    generator: torch.Generator,
    limits: tuple[float, float],
) -> Tensor:
    """Noise level per voxel: constant, or varying smoothly by up to a factor of three.

    Args:
        shape: (slices, i, j).
        rng: draws the level, log-uniform within the limits.
        generator: draws the field.
        limits: smallest and largest mean level.
    """
    level = float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))
    if rng.random() < 0.5:
        return torch.full(shape, level)
    field = smooth_field(shape, 3, generator=generator).clamp(-2, 2)
    return level * torch.exp(0.35 * field)
