from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from medgan_core.errors import ResourceError
from medgan_core.inference import Signature, backends, prepare
from medgan_core.inference.backends import int8, vino
from medgan_core.inference.probes import probes
from tests.core.inference.toys import Cancelling, Toy, slab_unet

CONTRASTS = Signature(contrasts=2, slices=3, presence=True, outputs=1, multiple=8)
needs_int8 = pytest.mark.skipif(not vino.int8_is_native(), reason="no 8-bit dot products")


class Uneven(Toy):
    """A chain of three convolutions whose inner channels differ in size by a factor of 1000."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.last = (
            nn.Conv2d(3, 8, 3),
            nn.Conv2d(8, 8, 3),
            nn.Conv2d(8, 2, 5, padding=4),
        )
        sizes = torch.logspace(-3, 0, 8)
        self.first.weight.data *= sizes[:, None, None, None]
        self.first.bias.data *= sizes  # type: ignore[union-attr]
        self.inner.weight.data /= sizes[:, None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.inner(torch.relu(self.first(x)))))


def graph(network: nn.Module) -> object:
    signature = Signature.of(network)
    size = (2, signature.channels, 3 * signature.multiple, 8 * signature.multiple)
    return vino._convert(network.eval(), torch.zeros(size), False)


def test_only_convolutions_between_others_are_rounded() -> None:
    network = Uneven()
    model = graph(network)
    int8.quantise(model, [p.numpy() for p in probes(Signature.of(network), seed=0)])
    convolutions = [n for n in model.get_ordered_ops() if n.get_type_name() == "Convolution"]  # type: ignore[attr-defined]
    rounded = [c.input_value(1).get_node().get_type_name() == "FakeQuantize" for c in convolutions]
    assert rounded == [False, True, False]


def test_rounding_changes_little_and_the_equalised_channels_survive() -> None:
    """With one step for all channels the smallest ones would vanish, and with them half of the answer."""
    network = Uneven().eval()
    batches = [p.numpy() for p in probes(Signature.of(network), seed=0)]
    model = graph(network)
    int8.quantise(model, batches)
    compiled = vino.load().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    other = probes(Signature.of(network), seed=1)
    with torch.inference_mode():
        wanted = torch.cat([network(p) for p in other]).numpy()
    away = np.concatenate([compiled([p.numpy()])[0].copy() for p in other]) - wanted
    assert 0 < np.abs(away).mean() < 0.02 * wanted.std()


def test_a_network_without_inner_convolutions_is_refused() -> None:
    with pytest.raises(RuntimeError, match="between two others"):
        int8.quantise(graph(Cancelling()), [np.zeros((1, 3, 16, 16), dtype=np.float32)])


@needs_int8
def test_a_network_int8_cannot_do_is_refused_with_the_reason() -> None:
    with pytest.raises(ResourceError, match="openvino int8"):
        prepare(Cancelling(), device="cpu", backend="openvino", precision="int8")


def test_int8_is_never_chosen_by_itself() -> None:
    assert ("openvino", "int8") not in backends.candidates(torch.device("cpu"))
    assert prepare(slab_unet(contrasts=1, outputs=1), device="cpu").precision != "int8"


def test_what_is_brighter_than_the_scale_is_not_clipped() -> None:
    """A lesion of three times the 99.5th percentile, which most voxels never reach."""
    network = Uneven().eval()
    model = graph(network)
    int8.quantise(model, [p.numpy() for p in probes(Signature.of(network), seed=0)])
    compiled = vino.load().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    batch = probes(Signature.of(network), seed=2)[2]
    batch[:, :, 20:28, 20:28] = 3.0
    with torch.inference_mode():
        wanted = network(batch)[:, :, 20:28, 20:28].numpy()
    away = compiled([batch.numpy()])[0][:, :, 20:28, 20:28] - wanted
    assert np.abs(away).mean() < 0.05 * np.abs(wanted).mean()


def test_slices_of_a_batch_are_computed_apart_and_in_order() -> None:
    network = slab_unet(contrasts=1, outputs=1)
    runner = next(vino.attempts(network, "fp32", torch.device("cpu"), torch.zeros(2, 3, 12, 32)))
    batch = torch.rand(3, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    together = runner(batch).clone()
    torch.testing.assert_close(together, network(batch), atol=1e-4, rtol=1e-4)
    for one, answer in zip(batch, together, strict=True):
        assert torch.equal(runner(one[None])[0], answer)


def test_probes_are_the_same_for_the_same_seed_and_cover_noise_and_missing_contrasts() -> None:
    first, again, other = (probes(CONTRASTS, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert all(p.shape == (1, CONTRASTS.channels, 96, 96) and p.min() >= 0 for p in first)
    assert {tuple(p[0, 6:, 0, 0].tolist()) for p in first} == {(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)}
    assert all((p[0, 3:6] == 0).all() for p in first if p[0, 7, 0, 0] == 0)
    assert len(first) == 12
    assert max(float(p[0, :6].max()) for p in first[6:]) > 3.0 > max(float(p[0, :6].max()) for p in first[:6])
    corners = [float(p[0, :6, :4, :4].std()) for p in first]
    assert corners[0] == 0.0
    assert corners[5] > corners[3] > 0.0
