"""The torch back end: CPU or CUDA, channels last, 16-bit weights with the sums kept in float32."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class EagerRunner:
    """Runs a copy of a network as torch does.

    The input stays float32 under autocast, so that a residual connection from the input to the output
    is added in float32; only the convolutions work in 16 bits. Deterministic kernels are asked for, so
    that a recorded plan gives the same voxels.
    """

    parallel = 1

    def __init__(self, network: nn.Module, precision: str, device: torch.device) -> None:
        self._dtype = _DTYPES[precision]
        self._device = device
        self._network = copy.deepcopy(network).eval().requires_grad_(False)
        self._network.to(device=device, dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, h, w) float32 on the device to (n, o, h, w) float32 there."""
        narrow = self._dtype != torch.float32
        cast = torch.autocast(self._device.type, dtype=self._dtype) if narrow else nullcontext()
        exact = (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            if self._device.type == "cuda"
            else nullcontext()
        )
        with torch.inference_mode(), cast, exact:
            answer: Tensor = self._network(batch.contiguous(memory_format=torch.channels_last))
            return answer.float()


def attempts(
    network: nn.Module, precision: str, device: torch.device, example: Tensor
) -> Iterator[EagerRunner]:
    """The one way torch runs a network; `example` is not needed."""
    yield EagerRunner(network, precision, device)
