"""A model as ONNX: any size, the card inside, the same values; nothing is left when it cannot be written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medgan_core.card import ModelCard
from medgan_core.errors import ModelError
from medgan_core.export.check import LIMIT
from medgan_core.registry import Registry

for library in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(library)

from medgan_core.export.onnx import Runtime, write_onnx  # noqa: E402


class Halves(nn.Module):
    """A network whose way depends on its values, which no fixed graph has."""

    spatial_dims, in_channels = 2, 1

    def forward(self, x: Tensor) -> Tensor:
        return x / 2 if float(x.mean()) > 0 else x


def test_the_file_computes_what_the_network_does_for_any_size(toy_registry: Registry, tmp_path: Path) -> None:
    import onnx

    model = toy_registry.load("brain-mr-translate")
    made = write_onnx(model, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [f"brain-mr-translate-{model.card.version}.onnx"]
    assert len({one.shape for one in made.agreements}) == 2
    assert all(one.share <= LIMIT for one in made.agreements)
    runtime = Runtime(made.path)
    for shape in ((1, 16, 20, 44), (3, 16, 64, 8)):  # sizes it was not checked with
        example = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(runtime(example), model.network(example), rtol=1e-4, atol=1e-5)
    told = {p.key: p.value for p in onnx.load(str(made.path)).metadata_props}
    assert ModelCard.from_dict(json.loads(told["medgan.card"])) == model.card
    assert told["medgan.weights_sha256"] == model.card.weights.sha256
    assert (told["medgan.multiple"], told["medgan.not_for"]) == ("4", "diagnosis")


def test_a_network_that_onnx_cannot_express_is_refused(toy_registry: Registry, tmp_path: Path) -> None:
    model = replace(toy_registry.load("mr-denoise"), network=Halves())
    with pytest.raises(ModelError, match="cannot be written as ONNX"):
        write_onnx(model, tmp_path)
    assert not list(tmp_path.iterdir())
