"""Penalties on the gradient of a discriminator with respect to its input.

Both are unweighted. They cost a second backward pass, so they may be used lazily: at every k-th update with k
times the weight, which leaves the mean of the gradient as it is (Karras et al. 2020, "Analyzing and improving
the image quality of StyleGAN", section 3.1).

The critic must treat the images of a batch independently (no batch statistics). Of several outputs per image
(a map of patches) the mean is differentiated. Call them outside of autocast: in bf16 the norm of a gradient
keeps three digits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medgan_core.errors import UsageError

Critic = Callable[[Tensor], Tensor]


def gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, *, generator: torch.Generator, target: float = 1.0
) -> Tensor:
    """``E[(||grad D(x)|| - 1)^2]`` with x evenly distributed between a real and a generated image.

    Source: Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017, equation 3 (the paper
    weights it by 10).

    Args:
        critic: (n, c, *spatial) to outputs (n, ...).
        real: (n, c, *spatial).
        fake: the same shape; no gradient reaches the generator's weights.
        generator: draws the place between the two, one number per pair, on its own device.
        target: norm the gradient should have.

    Returns:
        Scalar.

    Raises:
        UsageError: when the two shapes differ.
    """
    if real.shape != fake.shape:
        raise UsageError(
            "Real and generated images cannot be paired for the gradient penalty",
            expected=f"two tensors of shape {tuple(real.shape)}",
            got=str(tuple(fake.shape)),
        )
    mix = torch.rand(len(real), generator=generator, device=generator.device, dtype=torch.float32)
    return gradient_penalty_at(critic, interpolate(real, fake, mix), target=target)


def gradient_penalty_at(critic: Critic, images: Tensor, *, target: float = 1.0) -> Tensor:
    """`gradient_penalty` at given images (n, c, *spatial)."""
    gradient = input_gradient(critic, images).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return ((norms - target) ** 2).mean()


def interpolate(real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """``mix * real + (1 - mix) * fake`` per image; mix is (n,). No gradient reaches either."""
    mix = mix.to(real).reshape(-1, *(1,) * (real.ndim - 1))
    return torch.lerp(fake.detach(), real.detach(), mix)


def zero_centred_penalty(critic: Critic, images: Tensor) -> Tensor:
    """``E[||grad D(x)||^2] / 2``: R1 on real images, R2 on generated ones.

    Source: Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", ICML 2018,
    equations 9 and 10, without their weight gamma.

    Args:
        critic: (n, c, *spatial) to outputs (n, ...).
        images: (n, c, *spatial); no gradient reaches what made them.

    Returns:
        Scalar.
    """
    return 0.5 * (input_gradient(critic, images).flatten(1) ** 2).sum(1).mean()


def input_gradient(critic: Critic, images: Tensor) -> Tensor:
    """Gradient of each image's (mean) output with respect to that image, differentiable once more.

    Args:
        critic: (n, c, *spatial) to outputs (n, ...).
        images: (n, c, *spatial).

    Returns:
        The shape of the images.
    """
    points = images.detach().requires_grad_(True)
    outputs = critic(points).reshape(len(points), -1).mean(1).sum()
    gradient: Tensor = torch.autograd.grad(outputs, points, create_graph=True)[0]
    return gradient
