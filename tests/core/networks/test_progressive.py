from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from medgan_core.errors import UsageError
from medgan_core.networks.equalised import EqualisedConvolution, EqualisedLinear, MinibatchDeviation
from medgan_core.networks.layers import double, halve
from medgan_core.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator

SIZES = {2: (24, 17), 3: (8, 12, 9)}
DIMS = pytest.mark.parametrize("dims", [2, 3])


def _generator(dims: int) -> ProgressiveGenerator:
    torch.manual_seed(0)
    return ProgressiveGenerator(size=SIZES[dims], latent=6, widths=(4, 6, 8), spatial_dims=dims)


def _discriminator(dims: int) -> ProgressiveDiscriminator:
    torch.manual_seed(0)
    return ProgressiveDiscriminator(size=SIZES[dims], widths=(4, 6, 8), spatial_dims=dims)


@DIMS
def test_at_alpha_0_a_stage_gives_the_previous_one_doubled(dims: int) -> None:
    network, z = _generator(dims), torch.randn(3, 6)
    for stage in (1, 2):
        faded, before = network(z, stage=stage, alpha=0.0), network(z, stage=stage - 1)
        assert faded.shape[2:] == network.sizes[stage]
        torch.testing.assert_close(faded, double(before, network.sizes[stage]))


@DIMS
def test_at_alpha_0_the_discriminator_sees_the_halved_image(dims: int) -> None:
    network = _discriminator(dims)
    for stage in (1, 2):
        x = torch.randn(3, 1, *network.sizes[stage])
        torch.testing.assert_close(network(x, stage=stage, alpha=0.0), network(halve(x), stage=stage - 1))


@DIMS
def test_alpha_mixes_linearly_before_the_last_function(dims: int) -> None:
    network, z = _generator(dims), torch.randn(3, 6)
    network.last = nn.Identity()
    old, mixed, new = (network(z, stage=2, alpha=alpha) for alpha in (0.0, 0.3, 1.0))
    assert float((old - new).detach().abs().max()) > 0.01
    torch.testing.assert_close(mixed, 0.7 * old + 0.3 * new)


@DIMS
def test_the_stages_together_reach_every_parameter(dims: int) -> None:
    generator, discriminator = _generator(dims), _discriminator(dims)
    for stage in range(3):
        image = generator(torch.randn(3, 6), stage=stage, alpha=0.5)
        discriminator(image, stage=stage, alpha=0.5).sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


def test_a_stage_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="0 to 2"):
        _generator(2)(torch.randn(1, 6), stage=3)


@DIMS
def test_equalised_layers_are_plain_ones_with_scaled_weights(dims: int) -> None:
    layer = EqualisedConvolution(dims, 3, 5)
    plain = (nn.Conv2d, nn.Conv3d)[dims - 2](3, 5, 3, padding=1)
    with torch.no_grad():
        plain.weight.copy_(layer.weight * math.sqrt(2 / (3 * 3**dims)))
        plain.bias.copy_(layer.bias.normal_())  # type: ignore[union-attr]
    x = torch.randn(2, 3, *[5] * dims)
    torch.testing.assert_close(layer(x), plain(x))


def test_equalised_weights_start_at_unit_scale_and_keep_the_signal_s() -> None:
    torch.manual_seed(0)
    layer = EqualisedLinear(400, 300, gain=1.0)
    assert float(layer.weight.detach().std()) == pytest.approx(1.0, abs=0.02)
    assert float(layer(torch.randn(200, 400)).detach().std()) == pytest.approx(1.0, abs=0.05)


def test_minibatch_deviation_against_a_loop() -> None:
    x = torch.randn(5, 3, 4, 2)
    out = MinibatchDeviation()(x)
    deviations = [np.std(x[:, c, i, j].numpy()) for c, i, j in np.ndindex(3, 4, 2)]
    assert torch.equal(out[:, :3], x)
    torch.testing.assert_close(out[:, 3], torch.full((5, 4, 2), float(np.mean(deviations))))


def test_minibatch_deviation_of_one_sample_is_zero_with_a_finite_gradient() -> None:
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    out = MinibatchDeviation()(x)
    assert float(out[:, 3].detach().abs().max()) < 1e-3
    out.sum().backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
