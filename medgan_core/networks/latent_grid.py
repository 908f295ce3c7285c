"""How a generator takes its latent vector and its class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.networks.layers import linear


def class_vectors(embedding: nn.Embedding, labels: Tensor | None) -> Tensor:
    """Learned vectors (n, width) of the classes `labels` (n,), int64.

    Raises:
        UsageError: when there are no labels.
    """
    if labels is None:
        raise UsageError(
            "The network was built for classes and needs one for each sample",
            expected=f"labels (n,) of 0 to {embedding.num_embeddings - 1}",
            got="no labels",
            action="pass labels, or build the network with classes=0",
        )
    vectors: Tensor = embedding(labels)
    return vectors


class LatentGrid(nn.Module):
    """A linear layer from the latent, beside a learned vector of the class, to a coarse grid.

    Conditioning by concatenation: Mirza & Osindero, "Conditional generative adversarial nets", 2014.

    Args:
        latent: length of z.
        channels: of the grid.
        size: of the grid.
        classes: number of classes; 0 for none.
        spectral: spectral norm on the linear layer.
    """

    def __init__(
        self, latent: int, channels: int, size: Sequence[int], *, classes: int = 0, spectral: bool = False
    ) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.embedding = nn.Embedding(classes, latent) if classes else None
        inputs = 2 * latent if classes else latent
        self.linear = linear(inputs, math.prod(self.shape), spectral=spectral)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and labels (n,) to (n, channels, *size)."""
        if self.embedding is not None:
            z = torch.cat([z, class_vectors(self.embedding, labels)], dim=1)
        grid: Tensor = self.linear(z)
        return grid.reshape(-1, *self.shape)
