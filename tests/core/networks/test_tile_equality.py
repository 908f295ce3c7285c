"""Networks that take no statistics over the image: a tile computes what the whole does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from medgan_core.networks.autoencoder import Autoencoder
from medgan_core.networks.image_to_image import ResidualImageGenerator, UNetGenerator
from medgan_core.networks.inpainting import InpaintingGenerator
from medgan_core.networks.segmentation_unet import SegmentationUNet
from medgan_core.networks.spade import SpadeGenerator
from medgan_core.networks.super_resolution import SuperResolutionGenerator
from tests.core.networks.cases import one_hot, shake

LONG, TILE, MARGIN = 128, slice(32, 112), 32
WIDE = 6
Apply = Callable[[nn.Module, Tensor], Tensor]

_style = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))


def _with_hole(network: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = network(x[:, :1], (x[:, 1:] > 0.7).float(), paste=False)
    return out


def _with_style(network: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = network(x, _style)
    return out


def _image(dims: int, channels: int) -> Tensor:
    return torch.randn(2, channels, LONG, *[WIDE] * (dims - 1), generator=torch.Generator().manual_seed(0))


def _labels(dims: int, channels: int) -> Tensor:
    return one_hot(dims, channels, (LONG, *[WIDE] * (dims - 1)))


CASES: dict[str, tuple[Callable[[int], nn.Module], Apply, Callable[[int, int], Tensor], int]] = {
    "unet": (lambda d: UNetGenerator(widths=(4, 8, 12), spatial_dims=d), nn.Module.__call__, _image, 1),
    "segmentation": (
        lambda d: SegmentationUNet(classes=2, widths=(4, 8), norm="pixel", dropout=0, spatial_dims=d),
        nn.Module.__call__,
        _image,
        1,
    ),
    "residual": (
        lambda d: ResidualImageGenerator(widths=(4, 8, 12), blocks=2, spatial_dims=d),
        nn.Module.__call__,
        _image,
        1,
    ),
    "spade": (
        lambda d: SpadeGenerator(labels=3, style=4, widths=(4, 8, 12), spatial_dims=d),
        _with_style,
        _labels,
        3,
    ),
    "gated": (
        lambda d: InpaintingGenerator(widths=(4, 8), dilations=(1, 2), spatial_dims=d),
        _with_hole,
        _image,
        2,
    ),
    "partial": (
        lambda d: InpaintingGenerator(
            widths=(4, 8), dilations=(1, 2), convolutions="partial", spatial_dims=d
        ),
        _with_hole,
        _image,
        2,
    ),
    "super-resolution": (
        lambda d: SuperResolutionGenerator(factors=(2,) * d, width=6, blocks=2, spatial_dims=d),
        nn.Module.__call__,
        _image,
        1,
    ),
    "autoencoder": (
        lambda d: Autoencoder(size=(8,) * d, latent=3, grid=True, widths=(4, 8), spatial_dims=d),
        nn.Module.__call__,
        _image,
        1,
    ),
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_a_tile_computes_what_the_whole_does_away_from_its_border(name: str, dims: int) -> None:
    build, apply, make, channels = CASES[name]
    torch.manual_seed(0)
    network = shake(build(dims)).eval()
    x = make(dims, channels)
    with torch.no_grad():
        whole, part = apply(network, x), apply(network, x[:, :, TILE])
    factor = whole.shape[2] // LONG
    inner = slice(factor * MARGIN, part.shape[2] - factor * MARGIN)
    placed = whole[:, :, factor * TILE.start : factor * TILE.stop]
    assert float(whole.std()) > 1e-3
    torch.testing.assert_close(part[:, :, inner], placed[:, :, inner], atol=1e-5, rtol=1e-4)


def test_instance_norm_would_not_pass() -> None:
    torch.manual_seed(0)
    network = shake(UNetGenerator(widths=(4, 8, 12), norm="instance")).eval()
    x = _image(2, 1)
    with torch.no_grad():
        whole, part = network(x)[:, :, TILE], network(x[:, :, TILE])
    inner = slice(MARGIN, -MARGIN)
    assert float((whole[:, :, inner] - part[:, :, inner]).abs().max()) > 1e-3
