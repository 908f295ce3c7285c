from __future__ import annotations

import math

import pytest
import torch

from medgan_core import networks
from medgan_core.errors import ModelError
from medgan_core.networks.slab_unet import _EDGE_FLOOR, SlabUNet, _edges


def _trained_looking(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights everywhere, also where training starts at zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def test_a_fresh_blending_network_is_nearly_the_mean_of_the_middle_slices() -> None:
    network = SlabUNet(contrasts=1, outputs=1, slices=5, widths=(8, 16), blend=True)
    x = torch.rand(2, 5, 16, 24)
    out = network(x).detach()
    assert out.shape == (2, 2, 16, 24)
    assert float((out[:, :1] - x[:, 2:3]).abs().max()) < 0.1
    two = SlabUNet(contrasts=2, outputs=1, slices=3, presence=True, widths=(8, 16), blend=True)
    x = torch.rand(1, 8, 16, 16)
    assert float((two(x)[:, :1] - x[:, [1, 4]].mean(1, keepdim=True)).abs().max()) < 0.1


def test_the_error_is_told_where_the_edges_of_the_prediction_are() -> None:
    flat = torch.zeros(1, 1, 8, 8)
    step = flat.clone()
    step[..., 4:] = 1.0
    assert torch.equal(_edges(flat), torch.full((1, 1, 4, 4), math.log(_EDGE_FLOOR)))
    column = _edges(step)[0, 0, 0]
    assert column.argmax() == 1
    assert float(column[1]) == pytest.approx(math.log(0.5 + _EDGE_FLOOR))


def test_a_tile_computes_what_the_whole_does_away_from_its_border() -> None:
    network = _trained_looking(SlabUNet(contrasts=1, outputs=1, slices=3, widths=(8, 16)))
    x = torch.rand(1, 3, 128, 64)
    with torch.no_grad():
        whole, part = network(x), network(x[:, :, :96])
    torch.testing.assert_close(whole[:, :, :48], part[:, :, :48], atol=1e-5, rtol=1e-5)


def test_predicting_the_error_costs_the_image_nothing() -> None:
    network = _trained_looking(SlabUNet(contrasts=1, outputs=1, slices=3, widths=(8, 16))).train()
    network(torch.rand(1, 3, 16, 16))[:, 1:].sum().backward()
    touched = {
        name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert touched == {"scale"}


def test_unknown_networks_and_options_are_refused() -> None:
    with pytest.raises(ModelError, match="slab-unet"):
        networks.build("u-net", {})
    with pytest.raises(ModelError):
        networks.build("slab-unet", {"contrasts": 1, "outputs": 1, "depth": 3})
