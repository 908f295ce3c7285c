"""Back ends by name, each hidden in one file, and the order in which they are tried.

A back end is a function ``attempts(network, precision, device, example)`` that yields runners, the
quickest to make first; a runner takes a float32 batch (n, c, h, w) on the device, with any n and with
h, w multiples of the network's, and gives a float32 batch there. The caller checks what it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor, nn

from medgan_core.inference.backends import eager, ort, vino


class Runner(Protocol):
    """Applies a network to a batch; `parallel` slices of it are computed at once, one per core."""

    parallel: int

    def __call__(self, batch: Tensor, /) -> Tensor:
        """(n, c, h, w) float32 on the device to (n, o, h, w) float32 there."""
        ...


Attempts = Callable[[nn.Module, str, torch.device, Tensor], Iterator[Runner]]

BACKENDS: dict[str, Attempts] = {
    "openvino": vino.attempts,
    "onnxruntime": ort.attempts,
    "torch": eager.attempts,
}
PRECISIONS = ("fp32", "bf16", "fp16", "int8")

_PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnxscript"), "torch": ("torch",)}
_WHEN_ASKED = ("int8",)  # docs/speed.md says why it is never chosen by itself
_OFFERED: dict[str, dict[str, tuple[str, ...]]] = {
    # Quickest first, as measured on two cores with AVX-512 VNNI and BF16. On a GPU bf16 and fp16 are
    # equally fast; bf16 goes first because no value is out of its range.
    "cpu": {"openvino": ("int8", "bf16", "fp32"), "onnxruntime": ("fp32",), "torch": ("fp32", "bf16")},
    "cuda": {"torch": ("bf16", "fp16", "fp32")},
}


def installed(name: str) -> bool:
    """Whether the packages a back end needs are there."""
    return all(find_spec(package) is not None for package in _PACKAGES[name])


def candidates(
    device: torch.device, *, backend: str = "auto", precision: str = "auto"
) -> list[tuple[str, str]]:
    """(back end, precision) to try on a device, quickest first; "auto" leaves it open, without int8."""
    return [
        (name, kind)
        for name, kinds in _OFFERED.get(device.type, {}).items()
        for kind in kinds
        if backend in ("auto", name)
        and (precision == kind or (precision == "auto" and kind not in _WHEN_ASKED))
        and installed(name)
        and (kind != "bf16" or bf16_is_native(name, device))
        and (kind != "int8" or vino.int8_is_native())
    ]


def bf16_is_native(name: str, device: torch.device) -> bool:
    """Whether a back end has bfloat16 matrix instructions on a device (emulated, it would be slower)."""
    if name == "openvino":
        return vino.bf16_is_native()
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True
