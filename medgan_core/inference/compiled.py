"""A network ready to run on a device, with what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medgan_core.inference.selfcheck import Agreement
from medgan_core.inference.slabs import Signature


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A network that passed its self-check on a back end; call it with a batch.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        backend: ``torch``, ``openvino`` or ``onnxruntime``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        agreement: how far it is from float32 torch.
        signature: what it takes and gives.
        channels: it gives: ``outputs``, or twice as many with log scales.
        bytes_per_pixel: upper bound of the memory its features take, per pixel of a slice.
        pixels_per_second: in the self-check, a lower bound for larger slices.
        rejected: the quicker choices that did not pass, with the reason.
        parallel: slices of a batch that are computed at once, one per core; 1 when all cores share a slice.
        runner: (n, c, h, w) float32 on the device to (n, channels, h, w) float32 there.
    """

    device: str
    backend: str
    precision: str
    agreement: Agreement
    signature: Signature
    channels: int
    bytes_per_pixel: int
    pixels_per_second: float
    rejected: tuple[str, ...]
    runner: Callable[[Tensor], Tensor]
    parallel: int = 1

    @property
    def torch_device(self) -> torch.device:
        """The device as torch knows it."""
        return torch.device(self.device)

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, c, h, w) float32 on the device to (n, channels, h, w) float32 there.

        The answer may be overwritten by the next call.
        """
        return self.runner(batch)
