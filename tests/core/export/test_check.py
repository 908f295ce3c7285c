"""What a network takes is read off it, and a network that computes something else is caught."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medgan_core import export
from medgan_core.errors import ModelError, ResourceError, UsageError
from medgan_core.export.check import LIMIT, compare, require
from medgan_core.export.interface import Interface
from medgan_core.networks.inpainting import InpaintingGenerator
from medgan_core.networks.residual_gan import ResidualGenerator
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.networks.volume_classifier import VolumeClassifier
from medgan_core.registry import Registry


class Scaled(nn.Module):
    spatial_dims, in_channels = 2, 1

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (SlabUNet(contrasts=2, outputs=1, slices=3, presence=True, widths=(4, 4)), ("image", 8, 2, 4)),
        (VolumeClassifier(classes=3), ("image", 1, 3, 1)),
        (ResidualGenerator(size=(16, 16), latent=7, spatial_dims=2), ("latent", 7, 0, 1)),
    ],
)
def test_networks_take_the_examples_that_are_made_for_them(
    network: nn.Module, expected: tuple[str, int, int, int]
) -> None:
    found = Interface.of(network.eval())
    assert (found.name, found.channels, found.axes, found.multiple) == expected
    small, large = found.examples()
    assert small.shape != large.shape
    assert len(found.free) == 1 + found.axes
    for example in (small, large):
        with torch.no_grad():
            assert len(network(example)) == len(example)


def test_a_network_of_several_tensors_is_refused() -> None:
    with pytest.raises(ModelError, match="hole"):
        Interface.of(InpaintingGenerator(spatial_dims=2))


def test_a_difference_is_stated_and_a_large_one_refused() -> None:
    examples = Interface.of(Scaled(1)).examples()
    found = compare("itself", Scaled(2.0), Scaled(2.0 + LIMIT), examples)
    assert [one.shape for one in found] == [tuple(e.shape) for e in examples]
    for one, example in zip(found, examples, strict=True):
        assert one.largest == pytest.approx(2 * float(example.max()))
        assert one.share == pytest.approx(LIMIT / 2, rel=0.05)
    with pytest.raises(ModelError, match="something else"):
        compare("another", Scaled(1.0), Scaled(1 + 3 * LIMIT), examples)
    with pytest.raises(ModelError, match="something else"):
        compare("another", Scaled(1.0), Scaled(float("nan")), examples)
    with pytest.raises(ModelError, match="shape"):
        compare("another", Scaled(1.0), lambda x: x[:, :, 1:], examples)


def test_a_missing_library_is_named_with_the_extra_that_brings_it() -> None:
    require("torch", extra="benchmarks")
    with pytest.raises(ResourceError, match="not_there_at_all") as caught:
        require("torch", "not_there_at_all", extra="benchmarks")
    assert "medgan[benchmarks]" in caught.value.action


def test_unknown_formats_and_models_are_usage(toy_registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="onnx, bundle"):
        export.export("mr-denoise", kind="pickle", out=tmp_path, registry=toy_registry)
    with pytest.raises(UsageError, match="nobody"):
        export.export("nobody", kind="bundle", out=tmp_path, registry=toy_registry)
    assert not list(tmp_path.iterdir())
