"""The networks of restoring and detecting compute, as they are applied, what they do as they are trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medgan_core import networks
from medgan_core.inference import Signature
from medgan_core.networks.hole_filler import HoleFiller
from medgan_core.networks.patch_anomaly import PatchAnomaly
from medgan_core.networks.slab_painter import SlabPainter, grains
from medgan_core.networks.slice_refiner import SliceRefiner


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def built(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    network = networks.build(name, options).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape))
    return network


def test_thin_slices_as_channels_are_those_of_the_generator() -> None:
    network = built("slice-refiner", factor=3, widths=(8, 4), blocks=1)
    assert isinstance(network, SliceRefiner)
    assert Signature.of(network).outputs == 3
    low = image(2, 1, 10, 7)
    channels = network(low)
    fine = channels.permute(0, 2, 3, 1).reshape(2, 1, 10, 21)
    wanted = (network.generator(2 * low - 1) + 1) / 2
    assert float((fine - (wanted - network.generator.interpolated(low))).abs().max()) < 1e-6
    assert float(fine.abs().max()) > 1e-3


def test_a_hole_beside_the_image_is_filled_as_in_training() -> None:
    for convolutions in ("gated", "partial"):
        network = built("hole-filler", widths=(4, 8), convolutions=convolutions)
        assert isinstance(network, HoleFiller)
        both = torch.cat([image(2, 1, 16, 12), (image(2, 1, 16, 12, seed=1) > 0.8).float()], dim=1)
        wanted = network.generator(2 * both[:, :1] - 1, both[:, 1:], paste=False)
        torch.testing.assert_close(network(both), (wanted + 1) / 2)
        other = both.clone()
        other[:, :1][both[:, 1:] == 1] = 9.0
        torch.testing.assert_close(network(other), network(both))


def test_a_painter_adds_to_the_middle_slice_of_the_base() -> None:
    network = built("slab-painter", slices=3, widths=(8, 12))
    assert isinstance(network, SlabPainter)
    signature = Signature.of(network)
    assert (signature.contrasts, signature.slices, signature.outputs) == (2, 3, 1)
    base, noise = image(2, 3, 16, 24), image(2, 3, 16, 24, seed=1)
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    torch.testing.assert_close(network(torch.cat([base, noise], dim=1)), base[:, 1:2])
    for number in range(3):
        network.head.bias[1 + number] = -0.5
        wanted = (base[:, 1:2] + 0.5 * grains(noise[:, 1:2])[:, number : number + 1]).abs()
        torch.testing.assert_close(network(torch.cat([base, noise], dim=1)), wanted)
        network.head.bias[1 + number] = 0.0


def test_grains_have_the_same_variance_and_no_direction() -> None:
    noise = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    found = grains(noise)[0, :, 8:-8, 8:-8]
    assert torch.equal(found[0], noise[0, 0, 8:-8, 8:-8])
    torch.testing.assert_close(found.std((1, 2)), torch.ones(3), atol=0.03, rtol=0)
    steps = [found.diff(dim=axis).square().mean((1, 2)) for axis in (1, 2)]
    torch.testing.assert_close(steps[0], steps[1], atol=0, rtol=0.03)
    assert (steps[0][1:] < 0.7 * steps[0][:-1]).all(), "each is smoother than the one before"


def test_every_patch_is_compared_by_itself() -> None:
    network = built("patch-anomaly", size=16, latent=4, widths=[4, 4, 4], kappa=0.5)
    assert isinstance(network, PatchAnomaly)
    wide = image(2, 1, 32, 48)
    answer = network(wide)
    assert answer.shape == (2, 2, 32, 48)
    patch = 2 * wide[1:, :, 16:, 32:] - 1
    again = network.generator(network.encoder(patch))
    features = [network.discriminator.features(x)[-1] for x in (patch, again)]
    score = (patch - again).square().mean() + 0.5 * (features[0] - features[1]).square().mean()
    torch.testing.assert_close(answer[1:, :1, 16:, 32:], (patch - again).abs() / 2)
    torch.testing.assert_close(answer[1, 1, 16:, 32:], score.expand(16, 16))
