from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.losses.penalties import (
    gradient_penalty,
    gradient_penalty_at,
    input_gradient,
    interpolate,
    zero_centred_penalty,
)


def critic(dims: int) -> nn.Module:
    """Smooth and curved, in float64, with a map of patches as its output."""
    torch.manual_seed(1)
    convolution = nn.Conv2d if dims == 2 else nn.Conv3d
    return nn.Sequential(
        convolution(1, 4, 3, stride=2, padding=1), nn.Tanh(), convolution(4, 1, 3, padding=1)
    ).double()


def images(dims: int, seed: int, count: int = 3) -> Tensor:
    return torch.randn(
        count, 1, *(4,) * dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def naive_gradient(network: nn.Module, batch: Tensor, step: float = 1e-5) -> Tensor:
    """Of each image's mean output, by central differences, one voxel after the other."""
    out = torch.zeros_like(batch)
    with torch.no_grad():
        for n in range(len(batch)):
            for place in range(batch[n].numel()):
                ends = []
                for sign in (1, -1):
                    moved = batch[n].clone()
                    moved.view(-1)[place] += sign * step
                    ends.append(network(moved[None]).mean())
                out[n].view(-1)[place] = (ends[0] - ends[1]) / (2 * step)
    return out


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gradient_and_both_penalties_equal_naive_ones(dims: int) -> None:
    network, batch = critic(dims), images(dims, 0)
    naive = naive_gradient(network, batch)
    norms = naive.flatten(1).norm(dim=1)
    torch.testing.assert_close(input_gradient(network, batch), naive, rtol=1e-6, atol=1e-8)
    got = gradient_penalty_at(network, batch, target=0.7)
    torch.testing.assert_close(got, ((norms - 0.7) ** 2).mean(), rtol=1e-6, atol=1e-8)
    got = zero_centred_penalty(network, batch)
    torch.testing.assert_close(got, (norms**2).mean() / 2, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["wgan-gp", "zero-centred"])
def test_gradients_of_the_penalties_by_weight_equal_finite_differences(name: str, dims: int) -> None:
    network, real, fake = critic(dims), images(dims, 0), images(dims, 1)

    def value() -> Tensor:
        if name == "zero-centred":
            return zero_centred_penalty(network, real)
        return gradient_penalty(network, real, fake, generator=torch.Generator().manual_seed(5))

    weights = [p for p in network.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(value(), weights)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient.abs().max() > 1e-4
        for place in range(0, weight.numel(), 7):
            kept, ends = weight.data.view(-1)[place].item(), []
            for sign in (1, -1):
                weight.data.view(-1)[place] = kept + sign * 1e-5
                ends.append(value().item())
            weight.data.view(-1)[place] = kept
            assert gradient.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_a_linear_critic_has_the_analytic_penalties() -> None:
    slope = torch.arange(1.0, 17.0).reshape(1, 4, 4)

    def linear(x: Tensor) -> Tensor:
        return (slope * x).sum((1, 2, 3))

    batch, norm = torch.rand(2, 1, 4, 4), float(slope.norm())
    generator = torch.Generator().manual_seed(0)
    got = gradient_penalty(linear, batch, batch + 1, generator=generator)
    assert float(got) == pytest.approx((norm - 1) ** 2, rel=1e-5)
    assert float(zero_centred_penalty(linear, batch)) == pytest.approx(norm**2 / 2, rel=1e-5)


def test_a_constant_critic_has_finite_gradients() -> None:
    bias = torch.zeros((), requires_grad=True)
    penalty = gradient_penalty_at(lambda x: (bias * x).sum((1, 2, 3)), torch.rand(2, 1, 4, 4))
    (gradient,) = torch.autograd.grad(penalty, bias)
    assert penalty.item() == 1
    assert torch.isfinite(gradient)


def test_places_lie_between_the_pairs_and_follow_the_generator() -> None:
    real, fake = images(2, 0), images(2, 1)
    ends = torch.tensor([1.0, 0.0, 0.25])
    got = interpolate(real, fake, ends)
    torch.testing.assert_close(got[0], real[0])
    torch.testing.assert_close(got[1], fake[1])
    torch.testing.assert_close(got[2], 0.25 * real[2] + 0.75 * fake[2])
    network = critic(2)
    values = [
        gradient_penalty(network, real, fake, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4)
    ]
    assert values[0] == values[1] != values[2]


def test_what_made_the_images_gets_no_gradient() -> None:
    network, made = critic(2), images(2, 1).requires_grad_(True)
    penalty = gradient_penalty(network, images(2, 0), 2 * made, generator=torch.Generator().manual_seed(0))
    (penalty + zero_centred_penalty(network, 2 * made)).backward()
    assert made.grad is None


def test_lazy_use_has_the_mean_gradient_of_use_at_every_update() -> None:
    network, batch = critic(2), images(2, 0)
    weight = next(network.parameters())
    (once,) = torch.autograd.grad(zero_centred_penalty(network, batch), weight)
    lazy = torch.zeros_like(weight)
    for update in range(8):
        if update % 4 == 0:
            (gradient,) = torch.autograd.grad(4 * zero_centred_penalty(network, batch), weight)
            lazy += gradient / 8
    torch.testing.assert_close(lazy, once)


def test_images_that_do_not_pair_are_refused() -> None:
    with pytest.raises(UsageError, match="paired"):
        gradient_penalty(critic(2), images(2, 0), images(2, 1, count=2), generator=torch.Generator())
