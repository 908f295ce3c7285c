"""Images from noise, by following a learned velocity in a few steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medgan_core.errors import UsageError

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(points (n, c, *spatial), times (n,)) to velocities (n, c, *spatial)."""

Step = Callable[[Velocity, Tensor, float, float], Tensor]


def euler_step(velocity: Velocity, points: Tensor, time: float, change: float) -> Tensor:
    """``x + h v(x, t)``: exact where the way is straight; one evaluation."""
    return points + change * velocity(points, _times(points, time))


def heun_step(velocity: Velocity, points: Tensor, time: float, change: float) -> Tensor:
    """``x + h (v(x, t) + v(x', t + h)) / 2`` with x' from Euler's step; second order, two evaluations."""
    first = velocity(points, _times(points, time))
    second = velocity(points + change * first, _times(points, time + change))
    return points + 0.5 * change * (first + second)


STEPS: dict[str, Step] = {"euler": euler_step, "heun": heun_step}
"""One step of an integrator, by name."""


@torch.no_grad()
def follow_flow(
    velocity: Velocity,
    points: Tensor,
    *,
    steps: int,
    method: str = "heun",
    start: float = 0.0,
    stop: float = 1.0,
) -> Tensor:
    """Integrate ``dx/dt = v(x, t)`` in equal steps (Liu et al. 2023, section 2.1), without gradients.

    Args:
        velocity: v; conditions are bound to it beforehand.
        points: (n, c, *spatial): standard normal noise, to make images.
        steps: equal steps; one is enough where the ways are straight.
        method: a key of `STEPS`.
        start: time of the points: 0 for noise, 1 for images.
        stop: time to arrive at; 0 with ``start=1`` finds the noise an image comes from.

    Returns:
        (n, c, *spatial), at time `stop`.

    Raises:
        UsageError: on an unknown method or fewer than one step.
    """
    if method not in STEPS:
        raise UsageError(
            f"No integrator is called {method!r}", expected="one of " + ", ".join(STEPS), got=method
        )
    if steps < 1:
        raise UsageError("The flow cannot be followed", expected="at least one step", got=str(steps))
    change = (stop - start) / steps
    for number in range(steps):
        points = STEPS[method](velocity, points, start + number * change, change)
    return points


def _times(points: Tensor, time: float) -> Tensor:
    return torch.full((len(points),), time, device=points.device, dtype=points.dtype)
