"""The ONNX Runtime back end for CPUs (an extra: needs onnxruntime and onnxscript)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class OrtRunner:
    """Runs an ONNX Runtime session."""

    parallel = 1

    def __init__(self, session: Any) -> None:
        self._session = session
        self._name = session.get_inputs()[0].name

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, h, w) float32 to (n, o, h, w) float32."""
        return torch.from_numpy(self._session.run(None, {self._name: batch.contiguous().numpy()})[0])


def attempts(
    network: nn.Module, precision: str, device: torch.device, example: Tensor
) -> Iterator[OrtRunner]:
    """Exported with free sizes (ONNX Runtime holds a model to the sizes it was exported with)."""
    import onnxruntime

    any_size = torch.export.Dim.DYNAMIC
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: any_size, 2: any_size, 3: any_size},),
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    yield OrtRunner(
        onnxruntime.InferenceSession(
            program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    )
