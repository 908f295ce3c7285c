"""The network of a model that learned nothing."""

from __future__ import annotations

from torch import Tensor, nn


class Weightless(nn.Module):
    """The identity, without weights: all that such a model does is its applier's."""

    def forward(self, x: Tensor) -> Tensor:
        """The same tensor."""
        return x
