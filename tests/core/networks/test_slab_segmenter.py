from __future__ import annotations

import torch

from medgan_core import networks
from medgan_core.networks.slab_segmenter import SlabSegmenter
from medgan_core.networks.slab_unet import SlabUNet


def _segmenter(**options: object) -> SlabSegmenter:
    found = networks.build(
        "slab-segmenter", {"contrasts": 2, "classes": 4, "slices": 3, "widths": [8, 16], **options}
    )
    assert isinstance(found, SlabSegmenter)
    return found


def test_one_logit_per_class_and_a_gradient_for_every_weight() -> None:
    network = _segmenter(presence=True, blocks=2)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    logits = network(torch.rand(3, 8, 8, 12))
    assert logits.shape == (3, 4, 8, 12)
    assert (network.in_channels, network.outputs, network.multiple) == (8, 4, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_a_fresh_network_is_undecided() -> None:
    shares = _segmenter()(torch.rand(1, 6, 16, 16)).softmax(1).detach()
    assert float((shares - 0.25).abs().max()) < 0.05


def test_a_tile_computes_what_the_whole_does_away_from_its_border() -> None:
    network = _segmenter()
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    x = torch.rand(1, 6, 128, 16)
    with torch.no_grad():
        whole, part = network(x), network(x[:, :, :96])
    torch.testing.assert_close(whole[:, :, :48], part[:, :, :48], atol=1e-5, rtol=1e-5)


def test_both_networks_of_slabs_have_the_same_trunk() -> None:
    image = SlabUNet(contrasts=2, outputs=1, slices=3, widths=(8, 16)).state_dict()
    labels = _segmenter().state_dict()
    heads = ("head.", "scale.", "gates.")
    trunk = {name: tensor.shape for name, tensor in image.items() if not name.startswith(heads)}
    assert trunk == {name: tensor.shape for name, tensor in labels.items() if not name.startswith(heads)}
    assert {name.split(".")[0] for name in trunk} == {"stem", "down", "shrink", "grow", "up"}
