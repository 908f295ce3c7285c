"""What training takes its samples from."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Samples(Protocol):
    """Samples by number; the same number always gives the same sample."""

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One sample as named tensors without a batch axis."""
        ...
