"""Networks that are applied in one piece, in float32 torch: those of small volumes, which need no plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

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
    """Bring a network onto a device; one without parameters computes on the CPU.

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
    place = device if any(True for _ in network.parameters()) else "cpu"
    return Whole(network=network.to(place), device=place)


@contextmanager
def layers_told(network: nn.Module, step: Callable[[float], None]) -> Iterator[None]:
    """Within this, `step` is told before every layer what share of the network's layers is done.

    What it raises, such as `CancelledError`, ends the computation there.
    """
    layers = [module for module in network.modules() if not list(module.children())]
    done = count()

    def tell(*_: object) -> None:
        step(min(1.0, next(done) / len(layers)))

    handles = [layer.register_forward_pre_hook(tell) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
