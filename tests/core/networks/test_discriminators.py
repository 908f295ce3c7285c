from __future__ import annotations

from typing import Any

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.networks.dcgan import DCGANDiscriminator
from medgan_core.networks.discriminator import Discriminator
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator


def _all(channels: int = 1, **options: Any) -> list[Discriminator]:
    torch.manual_seed(0)
    found: list[Discriminator] = [
        DCGANDiscriminator(size=(32, 32), in_channels=channels, widths=(4, 8), norm="none", **options),
        ResidualDiscriminator(in_channels=channels, widths=(4, 8), **options),
        PatchDiscriminator(in_channels=channels, widths=(4, 8, 8), **options),
    ]
    return [network.eval() for network in found]


def test_judging_gives_the_logits_and_the_features_in_one_pass() -> None:
    x = torch.randn(3, 1, 32, 32)
    for network in _all():
        logits, features = network.judge(x)
        assert torch.equal(logits, network(x))
        assert all(torch.equal(a, b) for a, b in zip(features, network.features(x), strict=True))
        sides = [f.shape[2] for f in features]
        assert sides == sorted(sides, reverse=True)
        assert torch.equal(network.logits(features[-1]), logits)


def test_a_condition_is_concatenated_and_counts() -> None:
    x, condition = torch.randn(3, 1, 32, 32), torch.randn(3, 2, 32, 32)
    for network in _all(channels=3):
        logits = network(x, condition)
        assert torch.equal(logits, network(torch.cat([x, condition], dim=1)))
        assert not torch.allclose(logits, network(x, -condition))


@pytest.mark.parametrize("spectral", [False, True])
def test_the_logits_of_a_sample_do_not_depend_on_the_others(spectral: bool) -> None:
    x = torch.randn(4, 1, 32, 32)
    for network in _all(spectral=spectral):
        torch.testing.assert_close(network(x)[:2], network(x[:2]), atol=1e-5, rtol=1e-4)


def test_projection_adds_the_product_of_features_and_class() -> None:
    torch.manual_seed(0)
    network = ResidualDiscriminator(widths=(4, 8), classes=3, spectral=False)
    x, labels = torch.randn(2, 1, 16, 16), torch.tensor([2, 0])
    h = network.features(x)[-1].sum((2, 3))
    assert network.head.embedding is not None
    expected = network.head.score(h).squeeze(1) + (network.head.embedding.weight[labels] * h).sum(1)
    torch.testing.assert_close(network(x, labels=labels), expected)


def test_networks_with_classes_ask_for_them() -> None:
    with pytest.raises(UsageError, match="labels"):
        ResidualDiscriminator(widths=(4, 8), classes=3)(torch.randn(1, 1, 16, 16))
    with pytest.raises(UsageError, match="labels"):
        ResidualGenerator(size=(8, 8), latent=4, widths=(4, 8), classes=3)(torch.randn(1, 4))


def test_the_class_changes_the_image() -> None:
    torch.manual_seed(0)
    network = ResidualGenerator(size=(8, 8), latent=4, widths=(4, 8), classes=3)
    z = torch.randn(1, 4)
    assert not torch.allclose(network(z, torch.tensor([0])), network(z, torch.tensor([1])))


def test_the_patch_logit_sees_70_voxels_with_four_widths() -> None:
    """Isola et al. 2017: the 70 x 70 PatchGAN."""
    network = PatchDiscriminator(widths=(2, 2, 2, 2), spectral=False).double()
    x = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = network(x)
    logits[0, 0, 6, 6].backward()
    assert x.grad is not None
    touched = x.grad[0, 0].any(1).nonzero()
    assert int(touched.max() - touched.min()) + 1 == 70


def test_spectral_norm_can_be_differentiated_twice() -> None:
    """Penalties and competitive gradient descent need it; against finite differences in fp64."""
    torch.manual_seed(0)
    network = ResidualDiscriminator(widths=(3, 4), spatial_dims=2).double().eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)

    def slope(x: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        return gradient

    # x * x, so that the slope of the piecewise linear network has a slope of its own.
    x = torch.randn(1, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: slope(x * x), (x,))
