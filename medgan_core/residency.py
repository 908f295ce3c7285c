"""What stays loaded: the most recently used, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import psutil  # type: ignore[import-untyped]
import torch

V = TypeVar("V")
_SHARE = 4


class Residency(Generic[V]):
    """Values by key; the least recently used go when all of them together pass the budget.

    The newest always stays, whatever its size. Used by one thread at a time.

    Args:
        budget: bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()

    def get(self, key: str, load: Callable[[], V], size: Callable[[V], int]) -> V:
        """The value, loaded if need be.

        Args:
            key: of the value.
            load: makes it.
            size: of it in bytes; asked at every use, as a value may grow.
        """
        value = self._values[key][0] if key in self._values else load()
        self._values[key] = (value, size(value))
        self._values.move_to_end(key)
        while len(self._values) > 1 and self.bytes > self.budget:
            self._values.popitem(last=False)
        return value

    @property
    def bytes(self) -> int:
        """What all values take."""
        return sum(size for _, size in self._values.values())

    @property
    def keys(self) -> list[str]:
        """Least recently used first."""
        return list(self._values)


def default_budget(device: str) -> int:
    """Bytes: a quarter of the memory of a device (``cpu``, ``cuda``, ``cuda:N``); the rest is for work."""
    if device == "cpu":
        return int(psutil.virtual_memory().total) // _SHARE
    return int(torch.cuda.get_device_properties(device).total_memory) // _SHARE
