"""Networks that are applied in one piece, in float32 torch: those of small volumes, which need no plan."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from medgan_core.errors import ResourceError


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A network on a device.

    Args:
        network: float32, in evaluation mode.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        backend: always ``torch``.
        precision: always ``fp32``.
    """

    network: nn.Module
    device: str
    backend: str = "torch"
    precision: str = "fp32"

    @property
    def torch_device(self) -> torch.device:
        """The device as torch knows it."""
        return torch.device(self.device)


def prepare_whole(
    network: nn.Module, *, device: str, backend: str = "auto", precision: str = "auto"
) -> Whole:
    """Bring a network onto a device.

    Raises:
        ResourceError: when another back end or precision than torch in fp32 is asked for.
    """
    if backend not in ("auto", "torch") or precision not in ("auto", "fp32"):
        raise ResourceError(
            "This back end and precision cannot run this model",
            expected="backend torch, precision fp32",
            got=f"backend {backend}, precision {precision}",
            action="leave both at auto",
        )
    return Whole(network=network.to(device), device=device)
