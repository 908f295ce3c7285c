"""The OpenVINO back end for CPUs.

The network goes through `torch.export` straight into OpenVINO's PyTorch front end;
`openvino.convert_model` would do the same in twice the time, and it changes the process's logging.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medgan_core.inference.backends import int8
from medgan_core.inference.probes import probes
from medgan_core.inference.slabs import Signature

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_CALIBRATION_SEED = 0  # the self-check looks at other probes


class VinoRunner:
    """Runs a compiled OpenVINO model, each slice of a batch in a stream of its own.

    A core that has a slice to itself never waits for another, and its features stay in its own cache. Safe
    to call from several threads.

    Args:
        model: compiled.
        parallel: streams; a batch of so many slices keeps all cores busy.
    """

    def __init__(self, model: Any, parallel: int) -> None:
        self.parallel = parallel
        self._model = model
        self._local = threading.local()

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, h, w) float32 to (n, o, h, w) float32; the answer is valid until the next call."""
        requests = self._requests(batch.shape[0])
        slices = [one[None].numpy() for one in batch.contiguous()]
        failures: list[RuntimeError] = []
        try:
            for request, one in zip(requests, slices, strict=True):
                request.start_async([one], share_inputs=True)
        finally:  # nothing may still read the batch when it is given up
            for request in requests:
                try:
                    request.wait()
                except RuntimeError as failure:
                    failures.append(failure)
        if failures:
            raise failures[0]
        answers = [request.output_tensors[0].data for request in requests]
        return torch.from_numpy(answers[0] if len(answers) == 1 else np.concatenate(answers))

    def _requests(self, count: int) -> list[Any]:
        """This thread's requests, made when first needed."""
        made: list[Any] = getattr(self._local, "requests", [])
        made += [self._model.create_infer_request() for _ in range(count - len(made))]
        self._local.requests = made
        return made[:count]


def attempts(
    network: nn.Module, precision: str, device: torch.device, example: Tensor
) -> Iterator[VinoRunner]:
    """First exported at the example's size, then with free sizes.

    The first takes half the time. It is right for every size unless the network wrote the example's
    size into its graph, which the self-check notices because it uses other sizes.
    """
    openvino = load()
    # torch counts physical cores and honours OMP_NUM_THREADS and torch.set_num_threads.
    threads = torch.get_num_threads()
    settings = {
        "INFERENCE_PRECISION_HINT": _hint(precision),
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        # Pinned threads would fight with those of another process on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    for free in (False, True):
        # A runner gives one slice at a time, so that size may be written into the graph.
        model = _convert(network, example if free else example[:1], free)
        if precision == "int8":
            batches = probes(Signature.of(network), seed=_CALIBRATION_SEED)
            try:
                int8.quantise(model, [batch.numpy() for batch in batches])
            except RuntimeError:
                if free:
                    raise
                continue
        yield VinoRunner(openvino.Core().compile_model(model, "CPU", settings), threads)


def bf16_is_native() -> bool:
    """Whether this CPU has bfloat16 instructions that OpenVINO uses."""
    return "BF16" in load().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def int8_is_native() -> bool:
    """Whether this CPU multiplies 8-bit integers into 32-bit sums (without that, sums saturate)."""
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _hint(precision: str) -> str:
    """What is computed in where the graph does not say otherwise: beside int8, bf16 if that is native."""
    if precision == "int8":
        return _HINTS["bf16" if bf16_is_native() else "fp32"]
    return _HINTS[precision]


def load() -> ModuleType:
    """Import OpenVINO without its telemetry.

    Importing it reports to its maker over the network, unless the user has opted out beforehand. Where the
    package for that is not there it uses a silent stand-in of its own, so for the moment of the import
    that package is hidden.
    """
    telemetry = "openvino_telemetry"
    if "openvino" not in sys.modules and telemetry not in sys.modules:
        sys.modules[telemetry] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules[telemetry]
    import openvino

    module: ModuleType = openvino
    return module


def _convert(network: nn.Module, example: Tensor, free: bool) -> Any:
    """An OpenVINO model from a network, with free sizes if asked for."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
    from openvino.frontend.pytorch.torchdynamo.export_decompositions import ops_to_not_decompose

    table = torch.export.default_decompositions()
    for operation in ops_to_not_decompose():
        with suppress(KeyError):
            table.pop(operation)  # type: ignore[no-untyped-call]
    any_size = torch.export.Dim.DYNAMIC
    shapes = ({0: any_size, 2: any_size, 3: any_size},) if free else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (example,), dynamic_shapes=shapes).run_decompositions(table)
        front = FrontEndManager().load_by_framework("pytorch")
        # The front end does not keep the decoder alive, so a name has to.
        decoder = TorchFXPythonDecoder(program.module(), dynamic_shapes=True)
        return front.convert(front.load(decoder))
