"""Conjugate gradients for a linear system that is known by its products alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """What `conjugate_gradients` came to.

    Args:
        value: the vector.
        iterations: done; each costs one product.
        residual: length of ``b - A x`` as a share of that of b, as the recursion has it.
    """

    value: Tensor
    iterations: int
    residual: float


@torch.no_grad()
def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    wanted: Tensor,
    *,
    start: Tensor,
    iterations: int,
    tolerance: float,
) -> Solution:
    """Solve ``A x = b`` for a symmetric positive definite A (Hestenes & Stiefel 1952).

    Stops early where a product shows that A is not positive definite or not finite; the residual then tells
    that it has not converged.

    Args:
        product: v to A v, both (n,).
        wanted: b, (n,).
        start: first guess, (n,); left aside where it is further off than zero is.
        iterations: cap.
        tolerance: residual at which to stop.
    """
    size = float(wanted.norm())
    x, residual = torch.zeros_like(wanted), wanted
    if size == 0:
        return Solution(x, 0, 0.0)
    if start.any():
        other = wanted - product(start)
        if float(other.norm()) < size:
            x, residual = start.clone(), other
    direction, square = residual, residual.dot(residual)
    done = 0
    while done < iterations and float(square) ** 0.5 > tolerance * size:
        image = product(direction)
        curvature = direction.dot(image)
        if not curvature > 0:
            break
        step = square / curvature
        x = x + step * direction
        residual = residual - step * image
        before, square = square, residual.dot(residual)
        direction = residual + square / before * direction
        done += 1
    return Solution(x, done, float(square) ** 0.5 / size)
