"""Moving average of weights, which is what a run saves as its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of networks' weights; their buffers are taken as they are.

    ``a <- d a + (1 - d) w`` with ``d = min(decay, n / (n + 10))`` after n updates, so that the random start
    is forgotten quickly (Polyak & Juditsky 1992; the ramp as in Karras et al. 2020).

    Args:
        modules: networks by name.
        decay: d of a long run; 0 keeps the last weights.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self._modules, self._decay = dict(modules), decay
        self.tensors = {k: v.detach().clone() for k, v in self._current().items()}

    def update(self, step: int) -> None:
        """Take in the weights after the given number of updates."""
        decay = min(self._decay, step / (step + 10))
        trained = {
            f"{name}.{key}" for name, module in self._modules.items() for key, _ in module.named_parameters()
        }
        with torch.no_grad():
            for key, value in self._current().items():
                if key in trained:
                    self.tensors[key].lerp_(value, 1 - decay)
                else:
                    self.tensors[key].copy_(value)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over averages kept earlier, by ``network.key``."""
        for key, value in self.tensors.items():
            value.copy_(tensors[key])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this the networks hold the average and are in evaluation mode."""
        kept = {k: v.detach().clone() for k, v in self._current().items()}
        self._fill(self.tensors)
        for module in self._modules.values():
            module.eval()
        try:
            yield
        finally:
            self._fill(kept)
            for module in self._modules.values():
                module.train()

    def of(self, name: str) -> dict[str, Tensor]:
        """State of one network, by its own keys."""
        return {k[len(name) + 1 :]: v for k, v in self.tensors.items() if k.startswith(name + ".")}

    def _current(self) -> dict[str, Tensor]:
        return {f"{name}.{k}": v for name, m in self._modules.items() for k, v in m.state_dict().items()}

    def _fill(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for key, value in self._current().items():
                value.copy_(tensors[key])
