"""Rectified flow: learn the straight way from noise to image.

Time runs from 0 (noise) to 1 (image). `medgan_core.networks.flow_sampling` makes images with what is learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(points (n, c, *spatial), times (n,)) to velocities (n, c, *spatial)."""


@dataclass(frozen=True)
class FlowBatch:
    """Places on the way, when they are passed, and how fast: what a network is shown and asked for.

    Args:
        points: ``t * image + (1 - t) * noise``, (n, c, *spatial).
        times: t, (n,), in [0, 1].
        velocities: ``image - noise``, (n, c, *spatial).
    """

    points: Tensor
    times: Tensor
    velocities: Tensor


def flow_batch(images: Tensor, noise: Tensor, times: Tensor) -> FlowBatch:
    """Points on the straight lines between noise and images (Liu et al. 2023, equation 1).

    Args:
        images: (n, c, *spatial).
        noise: the same shape. Standard normal; for a second rectification ("reflow") the noise from which
            the first model made these very images.
        times: (n,), in [0, 1].
    """
    t = times.to(images).reshape(-1, *(1,) * (images.ndim - 1))
    return FlowBatch(torch.lerp(noise, images, t), times.to(images), images - noise)


def flow_matching_loss(
    velocity: Velocity,
    images: Tensor,
    *,
    generator: torch.Generator,
    times: str = "uniform",
) -> Tensor:
    """``E ||(X1 - X0) - v(X_t, t)||^2`` with ``X_t = t X1 + (1 - t) X0``, mean over the elements.

    X1 is an image, X0 standard normal noise. Source: Liu, Gong & Liu, "Flow straight and fast: learning to
    generate and transfer data with rectified flow", ICLR 2023, equation 1.

    Args:
        velocity: v; conditions are bound to it beforehand.
        images: (n, c, *spatial), of mean about 0 and deviation about 1 or below.
        generator: draws noise and times, on its own device.
        times: a key of `TIMES`.

    Returns:
        Scalar.
    """
    noise = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    numbers = torch.rand(len(images), generator=generator, device=generator.device).to(images)
    batch = flow_batch(images, noise, TIMES[times](numbers))
    return ((velocity(batch.points, batch.times) - batch.velocities) ** 2).mean()


def uniform_times(numbers: Tensor) -> Tensor:
    """Evenly distributed (Liu et al. 2023). Takes (n,) uniform numbers in [0, 1), gives (n,) times."""
    return numbers


def stratified_times(numbers: Tensor) -> Tensor:
    """``(u + i / n) mod 1`` with one u for the batch: each evenly distributed, together spread over [0, 1).

    The loss varies more with time than between images, so a spread batch has a calmer gradient. Source:
    Kingma et al., "Variational diffusion models", NeurIPS 2021, appendix I.1.
    """
    place = torch.arange(len(numbers), device=numbers.device, dtype=numbers.dtype)
    return torch.frac(numbers[:1] + place / len(numbers))


def logit_normal_times(numbers: Tensor) -> Tensor:
    """Sigmoid of a standard normal number: more often half way, where the velocity is hardest to tell.

    Source: Esser et al., "Scaling rectified flow transformers", ICML 2024, section 3.1.
    """
    edge = torch.finfo(numbers.dtype).eps
    return torch.sigmoid(torch.special.ndtri(numbers.clamp(edge, 1 - edge)))


TIMES: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": uniform_times,
    "stratified": stratified_times,
    "logit-normal": logit_normal_times,
}
"""How uniform random numbers become times, by name."""
