"""A model as one ONNX file, verified by ONNX Runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medgan_core.errors import ModelError
from medgan_core.export.check import Exported, compare, require
from medgan_core.export.interface import Interface
from medgan_core.registry import Model
from medgan_core.whole_files import replacing

_OUTPUT = "pred"


def write_onnx(model: Model, out: Path) -> Exported:
    """Write ``OUT/NAME-VERSION.onnx``: the network alone, of free batch and image size, with the card inside.

    The input is called ``image`` (or ``latent``), the output ``pred``; sides must be multiples of what the
    metadata say under ``medgan.multiple``. What comes before and after the network (scaling, slabs,
    placing the result in the patient) is told by the card under ``medgan.card``, and not part of the file.

    Raises:
        ResourceError: when a library is missing.
        ModelError: when the network cannot be exported or the file computes something else.
    """
    require("onnx", "onnxruntime", "onnxscript", extra="export")
    import onnx

    takes = Interface.of(model.network)
    examples = takes.examples()
    proto = _traced(model, takes, examples[1])
    onnx.helper.set_model_props(proto, _told(model, takes))
    onnx.checker.check_model(proto)
    path = out / f"{model.card.name}-{model.card.version}.onnx"
    with replacing(path, ending=".onnx") as draft:
        onnx.save(proto, str(draft))
        agreements = compare("ONNX Runtime", model.network, Runtime(draft), examples)
    return Exported(path, agreements)


class Runtime:
    """An ONNX file of one input and one output, run on the CPU."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, *sides) float32 to what the network gives, float32."""
        name = self._session.get_inputs()[0].name
        return torch.from_numpy(self._session.run(None, {name: batch.contiguous().numpy()})[0])


def _traced(model: Model, takes: Interface, example: Tensor) -> Any:
    free = torch.export.Dim.DYNAMIC
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model.network,
                (example,),
                input_names=[takes.name],
                output_names=[_OUTPUT],
                dynamic_shapes=(dict.fromkeys(takes.free, free),),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # torch raises what its many steps raise
        raise ModelError(
            f"The network of {model.card.name!r} cannot be written as ONNX",
            expected="a network whose every step ONNX knows, for any size",
            got=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            action="export it as a bundle, or use it with medgan run",
        ) from error
    if program is None:
        raise ModelError(f"torch gave no ONNX program for {model.card.name!r}")
    return program.model_proto


def _told(model: Model, takes: Interface) -> dict[str, str]:
    """What the file says about itself."""
    card = model.card
    return {
        "medgan.name": card.name,
        "medgan.version": card.version,
        "medgan.title": card.title,
        "medgan.task": card.task,
        "medgan.licence": card.licence,
        "medgan.weights_sha256": card.weights.sha256,
        "medgan.multiple": str(takes.multiple),
        "medgan.not_for": "diagnosis",
        "medgan.card": json.dumps(card.to_dict()),
    }
