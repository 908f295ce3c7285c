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

import torch
from torch import Tensor, nn

_HINTS = {"fp32": "f32", "bf16": "bf16"}


class VinoRunner:
    """Runs a compiled OpenVINO model without copying tensors; safe to call from several threads."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._local = threading.local()

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, h, w) float32 to (n, o, h, w) float32; the answer is valid until the next call."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        answer = request.infer([batch.contiguous().numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(answer[0])


def attempts(
    network: nn.Module, precision: str, device: torch.device, example: Tensor
) -> Iterator[VinoRunner]:
    """First exported at the example's size, then with free sizes.

    The first takes half the time. It is right for every size unless the network wrote the example's
    size into its graph, which the self-check notices because it uses other sizes.
    """
    openvino = load()
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        # torch counts physical cores and honours OMP_NUM_THREADS and torch.set_num_threads.
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinned threads would fight with those of another process on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    for free in (False, True):
        yield VinoRunner(openvino.Core().compile_model(_convert(network, example, free), "CPU", settings))


def bf16_is_native() -> bool:
    """Whether this CPU has bfloat16 instructions that OpenVINO uses."""
    return "BF16" in load().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
