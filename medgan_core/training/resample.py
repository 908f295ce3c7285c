"""Linear interpolation that can be differentiated any number of times with respect to the image.

Gradient penalties and competitive steps differentiate gradients, for which torch's own function long had no
rule. With a fixed grid the interpolation is linear in the image, so two rules are
enough: its derivative is its adjoint, and that one's derivative is the interpolation again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def sample(image: Tensor, grid: Tensor) -> Tensor:
    """Values of an image at the places of a grid; 0 outside. The grid gets no gradient.

    Args:
        image: (n, c, *spatial).
        grid: (n, *places, d), last spatial axis first, borders of the image at -1 and 1 (`align_corners`
            False).

    Returns:
        (n, c, *places).
    """
    out: Tensor = _Sample.apply(image, grid.detach())  # type: ignore[no-untyped-call]
    return out


def _interpolate(image: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = image.shape
        return _interpolate(image, grid)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Adjoint.apply(gradients[0], grid, ctx.shape), None  # type: ignore[no-untyped-call]


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        with torch.enable_grad():
            image = values.new_zeros(shape, requires_grad=True)
            return torch.autograd.grad(_interpolate(image, grid), image, values)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradients[0], grid), None, None  # type: ignore[no-untyped-call]
