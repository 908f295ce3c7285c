from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from medgan_core.training.resample import sample


def case(dims: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 1, *(4, 3, 3)[:dims])
    image = torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(2, dims, dims + 1, generator=generator, dtype=torch.float64)
    grid = affine_grid(
        torch.eye(dims, dims + 1, dtype=torch.float64) + noise, list(shape), align_corners=False
    )
    return image.requires_grad_(True), grid


@pytest.mark.parametrize("dims", [2, 3])
def test_values_are_those_of_torch(dims: int) -> None:
    image, grid = case(dims)
    torch.testing.assert_close(sample(image, grid), grid_sample(image, grid, align_corners=False))


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_equal_finite_differences_twice(dims: int) -> None:
    image, grid = case(dims)
    assert torch.autograd.gradcheck(lambda x: sample(x, grid), (image,))
    # Cubed, so that the second derivative is not zero.
    assert torch.autograd.gradgradcheck(lambda x: sample(x, grid) ** 3, (image,))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gradient_is_the_adjoint(dims: int) -> None:
    image, grid = case(dims)
    other = torch.randn_like(image)
    (back,) = torch.autograd.grad(sample(image, grid), image, other)
    torch.testing.assert_close((back * image).sum(), (other * sample(image, grid)).sum())
