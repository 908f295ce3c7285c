"""Properties of single networks: super-resolution, inpainting, SPADE, flow, U-Nets, classifier."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from medgan_core.errors import UsageError
from medgan_core.networks.flow_unet import FlowUNet, time_features
from medgan_core.networks.image_classifier import ImageClassifier
from medgan_core.networks.image_to_image import UNetGenerator
from medgan_core.networks.inpainting import InpaintingGenerator, PartialConvolution
from medgan_core.networks.spade import SpadeGenerator
from medgan_core.networks.super_resolution import SuperResolutionGenerator, unfold_voxels
from tests.core.networks.cases import one_hot, shake


def test_a_fresh_super_resolution_network_is_nearly_linear_interpolation() -> None:
    torch.manual_seed(0)
    network = SuperResolutionGenerator(factors=(1, 1, 4), width=8, blocks=2)
    x = torch.rand(1, 1, 6, 5, 7)
    out = network(x).detach()
    expected = functional.interpolate(x, scale_factor=(1, 1, 4), mode="trilinear", align_corners=False)
    assert out.shape == (1, 1, 6, 5, 28)
    assert float((out - expected).abs().max()) < 0.05


def test_a_ramp_of_thick_slices_becomes_the_fine_ramp() -> None:
    """Slices that are means of four fine ones: interpolation puts them back where they were."""
    network = SuperResolutionGenerator(factors=(1, 1, 4), width=8, blocks=1)
    fine = torch.arange(40.0).expand(1, 1, 3, 3, 40)
    thick = fine.unflatten(4, (10, 4)).mean(5)
    torch.testing.assert_close(network.interpolated(thick)[..., 2:-2], fine[..., 2:-2])


@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (2, 1, 4)])
def test_unfolding_against_a_loop(factors: tuple[int, ...]) -> None:
    size = (3, 2, 2)[: len(factors)]
    x = torch.randn(2, 3 * math.prod(factors), *size)
    out = unfold_voxels(x, factors)
    for place in np.ndindex(*(s * f for s, f in zip(size, factors, strict=True))):
        within = np.ravel_multi_index([p % f for p, f in zip(place, factors, strict=True)], factors)
        coarse = tuple(p // f for p, f in zip(place, factors, strict=True))
        channels = [c * math.prod(factors) + int(within) for c in range(3)]
        assert torch.equal(out[(slice(None), slice(None), *place)], x[(slice(None), channels, *coarse)])
    if factors == (2, 2):
        assert torch.equal(out, functional.pixel_shuffle(x, 2))


@pytest.mark.parametrize("kind", ["gated", "partial"])
def test_inpainting_keeps_the_known_and_ignores_what_is_in_the_hole(kind: str) -> None:
    torch.manual_seed(0)
    network = shake(InpaintingGenerator(widths=(4, 8), convolutions=kind)).eval()
    image, hole = torch.rand(1, 1, 20, 20), torch.zeros(1, 1, 20, 20)
    hole[..., 5:12, 6:15] = 1
    other = torch.where(hole > 0, torch.full_like(image, float("nan")), image)
    with torch.no_grad():
        filled, again = network(image, hole), network(other, hole)
    assert torch.equal(filled[hole == 0], image[hole == 0])
    assert torch.equal(filled, again)
    assert not torch.equal(filled[hole > 0], image[hole > 0])


def test_a_partial_convolution_against_a_loop() -> None:
    torch.manual_seed(0)
    layer = PartialConvolution(2, 2, 3)
    assert isinstance(layer.convolve, nn.Conv2d)
    nn.init.normal_(layer.bias)
    known = (torch.rand(1, 1, 7, 6) > 0.7).float()
    known[..., :3, :3] = 0
    x = torch.randn(1, 2, 7, 6) * known
    with torch.no_grad():
        out, after = layer(x, known)
    weight, bias = layer.convolve.weight.detach(), layer.bias.detach().flatten()
    wide, mask = functional.pad(x, [1] * 4), functional.pad(known, [1] * 4)
    for i, j in np.ndindex(7, 6):
        seen = mask[0, 0, i : i + 3, j : j + 3].sum()
        assert float(after[0, 0, i, j]) == float(seen > 0)
        expected = torch.zeros(3)
        if seen > 0:
            expected = (weight * wide[0, :, i : i + 3, j : j + 3]).sum((1, 2, 3)) * 9 / seen + bias
        torch.testing.assert_close(out[0, :, i, j], functional.leaky_relu(expected, 0.2))


def test_a_partial_convolution_of_a_constant_does_not_see_the_hole() -> None:
    torch.manual_seed(0)
    layer = PartialConvolution(3, 1, 2)
    nn.init.constant_(layer.convolve.weight, 0.1)  # type: ignore[arg-type]
    known = torch.ones(1, 1, 6, 6, 6)
    known[..., 2:4, 2:4, 2:5] = 0
    out, _ = layer(5 * known, known)
    torch.testing.assert_close(out, torch.full_like(out, 0.1 * 27 * 5))


def test_spade_places_what_the_map_says_and_follows_the_style() -> None:
    torch.manual_seed(0)
    network = shake(SpadeGenerator(labels=3, style=4, widths=(4, 8, 8))).eval()
    labels, style = one_hot(2, 3, (64, 16)), torch.randn(2, 4)
    changed = labels.clone()
    changed[:, :, :4] = changed[:, :, :4].roll(1, dims=1)
    with torch.no_grad():
        image, moved, restyled = network(labels, style), network(changed, style), network(labels, -style)
    assert float((image - moved)[:, :, :8].abs().max()) > 1e-3
    torch.testing.assert_close(image[:, :, 48:], moved[:, :, 48:])
    assert float((image - restyled).abs().mean()) > 1e-3
    with pytest.raises(UsageError, match="style"):
        network(labels)


def test_a_fresh_flow_stands_still_and_a_trained_one_knows_time_class_and_map() -> None:
    torch.manual_seed(0)
    network = FlowUNet(size=(16, 16), classes=2, label_channels=2, widths=(8, 8)).eval()
    x, t = torch.randn(2, 1, 16, 16), torch.tensor([0.2, 0.8])
    assert not network(x, t).any()
    shake(network)
    labels, label_map = torch.tensor([0, 1]), one_hot(2, 2, (16, 16))
    with torch.no_grad():
        base = network(x, t, labels, label_map)
        others = [
            network(x, 1 - t, labels, label_map),
            network(x, t, 1 - labels, label_map),
            network(x, t, labels, label_map.flip(1)),
            network(x, t, None, label_map),
            network(x, t, labels, None),
        ]
        assert torch.equal(network(x, t, torch.tensor([2, 2])), network(x, t))
    assert all(float((base - other).abs().max()) > 1e-3 for other in others)


def test_time_features_tell_close_times_apart() -> None:
    features = time_features(torch.linspace(0, 1, 101), 33)
    assert features.shape == (101, 33)
    distances = torch.cdist(features, features) + 10 * torch.eye(101)
    assert float(distances.min()) > 0.5
    torch.testing.assert_close(features[0], torch.cat([torch.ones(16), torch.zeros(17)]))


def test_a_residual_u_net_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    network = UNetGenerator(widths=(8, 16), residual=True, last="linear")
    x = torch.randn(1, 1, 32, 32)
    assert float((network(x) - x).detach().abs().mean()) < 0.3


def test_the_classifier_s_features_have_the_width_it_says() -> None:
    network = ImageClassifier(classes=2, widths=(4, 8), spatial_dims=3).eval()
    x = torch.randn(2, 1, 9, 8, 7)
    features = network.features(x)
    assert features.shape == (2, network.width)
    torch.testing.assert_close(network(x), network.classify(features))
