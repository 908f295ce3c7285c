from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from medgan_core.networks.equalised import EqualisedConvolution
from medgan_core.networks.layers import PixelNorm, convolution, double, halve, linear, normalisation, pyramid


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 3), (3, 4, 5)])
def test_halving_takes_the_mean_of_the_voxels_there_are(size: tuple[int, ...]) -> None:
    x = torch.rand(1, 1, *size)
    halved = halve(x)[0, 0].numpy()
    assert halved.shape == pyramid(size, 1)[1]
    for place in np.ndindex(*halved.shape):
        window = x[0, 0].numpy()[tuple(slice(2 * i, 2 * i + 2) for i in place)]
        assert halved[place] == pytest.approx(window.mean(), abs=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (3, 4, 5)])
def test_doubling_repeats_the_voxel_that_covers_a_place(size: tuple[int, ...]) -> None:
    x = torch.rand(1, 2, *pyramid(size, 1)[1])
    doubled = double(x, size)
    assert doubled.shape == (1, 2, *size)
    for place in np.ndindex(*size):
        assert torch.equal(doubled[(0, slice(None), *place)], x[(0, slice(None), *(i // 2 for i in place))])


def test_doubling_then_halving_is_the_identity_where_sizes_are_even() -> None:
    x = torch.rand(1, 3, 4, 5, 6)
    torch.testing.assert_close(halve(double(x)), x)


def test_pixel_norm_against_a_loop() -> None:
    x = torch.randn(2, 5, 3, 4)
    out = PixelNorm()(x)
    for n, i, j in np.ndindex(2, 3, 4):
        a = x[n, :, i, j].numpy().astype(np.float64)
        np.testing.assert_allclose(out[n, :, i, j], a / math.sqrt(np.mean(a**2) + 1e-8), rtol=1e-5)


def test_pixel_norm_of_networks_keeps_gradients_small_where_an_image_is_zero() -> None:
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    normalisation("pixel", 2, 4)(x).sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) <= 10.001


def test_spectral_norm_makes_a_linear_layer_lipschitz_with_constant_1() -> None:
    torch.manual_seed(0)
    layer = linear(7, 5, spectral=True)
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(30)  # type: ignore[union-attr]
    for _ in range(60):
        layer(torch.randn(1, 7))
    layer.eval()
    assert isinstance(layer.weight, torch.Tensor)
    assert float(torch.linalg.svdvals(layer.weight.detach())[0]) == pytest.approx(1.0, abs=1e-3)
    x, y = torch.randn(2, 50, 7)
    moved = (layer(x) - layer(y)).norm(dim=1)
    assert bool((moved <= 1.001 * (x - y).norm(dim=1)).all())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kernel", [3, 1])
def test_spectral_norm_bounds_a_convolution(dims: int, kernel: int) -> None:
    """The reshaped weight has norm 1; the map at most the root of the number of kernel positions."""
    torch.manual_seed(0)
    layer = convolution(dims, 3, 4, kernel, spectral=True)
    with torch.no_grad():
        for _ in range(60):
            layer(torch.randn(1, 3, *[4] * dims))
    layer.eval()
    assert isinstance(layer.weight, torch.Tensor)
    assert float(torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]) == pytest.approx(1, abs=1e-3)
    size = (1, 3, *[4] * dims)
    basis = torch.eye(math.prod(size)).reshape(-1, *size[1:])
    with torch.no_grad():
        matrix = (layer(basis) - layer(torch.zeros(size))).flatten(1)
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    assert 0.3 < norm <= 1.001 * math.sqrt(kernel**dims)


def test_he_initialisation_keeps_the_scale_through_many_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 16)
    with torch.no_grad():
        for _ in range(8):
            x = nn.functional.leaky_relu(convolution(2, 64, 64)(x), 0.2)
    assert 0.3 < float(x.square().mean()) < 3


def test_group_norm_finds_groups_for_any_width() -> None:
    for width in (1, 6, 12, 17):
        assert normalisation("group", 2, width)(torch.rand(1, width, 4, 4)).shape == (1, width, 4, 4)


@pytest.mark.parametrize("equalised", [False, True])
@pytest.mark.parametrize(("side", "dtype"), [(2, torch.float32), (3, torch.bfloat16)])
def test_a_kernel_wider_than_the_grid_is_computed_in_fp32(
    side: int, dtype: torch.dtype, equalised: bool
) -> None:
    """Where it would be bf16, the gradient of the weight is garbage on some CPUs (see `overhangs`)."""
    torch.manual_seed(0)
    layer = EqualisedConvolution(3, 16, 16) if equalised else convolution(3, 16, 16)
    x = torch.randn(4, 16, side, 9, 9)
    gradients = []
    for bf16 in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = layer(x)
        out.float().square().sum().backward()
        assert isinstance(layer.weight, nn.Parameter)
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad.clone())
    assert out.dtype == dtype
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=0.02 * float(gradients[0].std()))
