from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from medgan_core.errors import ResourceError, UsageError
from medgan_core.inference import backends, prepare
from tests.core.inference.toys import Cancelling, SizeInGraph, Toy, WrongWhenExported, slab_unet

CPU = torch.device("cpu")


@pytest.mark.parametrize(("backend", "precision"), backends.candidates(CPU))
def test_every_back_end_agrees_at_a_size_it_was_not_checked_with(backend: str, precision: str) -> None:
    network = slab_unet(contrasts=2, outputs=2, presence=True)
    compiled = prepare(network, device="cpu", backend=backend, precision=precision)
    assert (compiled.backend, compiled.precision, compiled.device) == (backend, precision, "cpu")
    assert compiled.agreement.passed
    batch = torch.rand(3, 8, 36, 52, generator=torch.Generator().manual_seed(1))
    answer, reference = compiled(batch), network(batch)
    assert answer.dtype == torch.float32
    away = (answer - reference).abs().max() / reference.abs().max()
    assert away <= compiled.agreement.maximum_limit


def test_a_back_end_that_computes_wrongly_is_rejected() -> None:
    with pytest.raises(ResourceError, match="deviates"):
        prepare(WrongWhenExported(), device="cpu", backend="openvino", precision="fp32")
    compiled = prepare(WrongWhenExported(), device="cpu")
    assert compiled.backend == "torch"
    assert any(reason.startswith("openvino fp32") for reason in compiled.rejected)


def test_a_precision_that_is_not_enough_is_rejected() -> None:
    with pytest.raises(ResourceError, match="torch bf16"):
        prepare(Cancelling(), device="cpu", backend="torch", precision="bf16")
    assert prepare(Cancelling(), device="cpu", backend="torch").precision == "fp32"


def test_a_size_written_into_the_graph_is_noticed_and_exported_as_free() -> None:
    compiled = prepare(SizeInGraph(), device="cpu", backend="openvino", precision="fp32")
    assert len(compiled.rejected) == 1
    batch = torch.rand(1, 3, 20, 44)
    torch.testing.assert_close(compiled(batch), SizeInGraph()(batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"device": "tpu"}, UsageError),
        ({"device": "cpu:1"}, UsageError),
        ({"device": "cuda:99"}, ResourceError),
        ({"device": "cpu", "backend": "caffe"}, UsageError),
        ({"device": "cpu", "precision": "fp8"}, UsageError),
        ({"device": "cpu", "backend": "openvino", "precision": "fp16"}, ResourceError),
    ],
)
def test_unknown_and_impossible_choices_are_refused(options: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        prepare(Toy(), **options)
    assert caught.value.to_dict()["action"]  # type: ignore[attr-defined]


def test_nothing_global_is_left_changed() -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            logging.root.level,
            list(logging.root.handlers),
        )

    with warnings.catch_warnings():
        before, filters = state(), list(warnings.filters)
        prepare(slab_unet(contrasts=1, outputs=1), device="cpu", backend="openvino", precision="fp32")
        assert state() == before
        assert list(warnings.filters) == filters


def test_the_network_itself_is_left_as_it_was() -> None:
    network = slab_unet(contrasts=1, outputs=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    prepare(network, device="cpu", backend="torch", precision="bf16")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_openvino_reports_nothing_to_anybody(tmp_path: Path) -> None:
    """Its telemetry leaves a client id in the home folder before it sends anything."""
    script = (
        "from medgan_core.inference import prepare\n"
        "from tests.core.inference.toys import Toy\n"
        "assert prepare(Toy(), device='cpu', precision='fp32').backend == 'openvino'\n"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **home}, cwd=root, check=True)
    assert not (tmp_path / "intel").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_cuda_agrees_with_the_cpu(precision: str) -> None:
    network = slab_unet(contrasts=2, outputs=2, presence=True)
    compiled = prepare(network, device="cuda", precision=precision)
    assert compiled.agreement.passed
    batch = torch.rand(3, 8, 36, 52)
    answer, reference = compiled(batch.cuda()).cpu(), network(batch)
    assert (answer - reference).abs().max() <= compiled.agreement.maximum_limit * reference.abs().max()
