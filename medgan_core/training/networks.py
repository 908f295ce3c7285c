"""The networks of a run by name, called in mixed precision or as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[..., Any]


class Networks(Mapping[str, Forward]):
    """What a loss gets: ``networks[name](x)`` runs in mixed precision and answers in fp32.

    Losses are fp32 everywhere: means of squares and likelihoods lose their digits in bf16.

    Args:
        modules: networks by name.
        device: where they are.
        mixed: use bf16 where the device computes in it natively.
    """

    def __init__(self, modules: Mapping[str, nn.Module], device: torch.device, *, mixed: bool = True) -> None:
        self.modules = dict(modules)
        self._device, self._mixed = device, mixed

    def __getitem__(self, name: str) -> Forward:
        return self.call(self.modules[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)

    def exact(self, name: str) -> nn.Module:
        """The network itself, in fp32: for what is differentiated twice."""
        return self.modules[name]

    def call(self, function: Forward) -> Forward:
        """Any function of tensors in mixed precision: a method of a network, say."""

        def forward(*inputs: Any, **options: Any) -> Any:
            with autocast(self._device) if self._mixed else nullcontext():
                return _to_fp32(function(*inputs, **options))

        return forward

    @contextmanager
    def moving(self, *names: str) -> Iterator[None]:
        """Within this, only the named networks collect gradients."""
        for name, module in self.modules.items():
            module.requires_grad_(name in names)
        try:
            yield
        finally:
            for module in self.modules.values():
                module.requires_grad_(True)


def autocast(device: torch.device) -> Any:
    """bf16 where the device computes in it natively."""
    if device.type == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _to_fp32(answer: Any) -> Any:
    if isinstance(answer, Tensor):
        return answer.float() if answer.is_floating_point() else answer
    if isinstance(answer, tuple | list):
        return type(answer)(_to_fp32(part) for part in answer)
    return answer
