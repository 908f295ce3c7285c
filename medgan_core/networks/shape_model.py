"""A generator of label maps: a variational autoencoder of shapes on folded voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medgan_core.networks.autoencoder import VariationalAutoencoder
from medgan_core.networks.folding import fold, unfold


class ShapeModel(VariationalAutoencoder):
    """One-hot label maps to Gaussian codes to logits of labels (Kingma & Welling 2014).

    Attributes:
        latent: shape of one code without the batch axis, (latent,); standard normal.

    Args:
        size: of a map, even sides.
        labels: background included.
        latent: length of the code.
        widths: channels at half the resolution, at 1/4, ... of it.
    """

    def __init__(
        self, *, size: Sequence[int], labels: int, latent: int = 16, widths: Sequence[int] = (16, 32, 48)
    ) -> None:
        dims = len(size)
        super().__init__(
            size=[side // 2 for side in size],
            latent=latent,
            in_channels=labels * 2**dims,
            widths=widths,
            spatial_dims=dims,
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, labels, *size) to mean and log variance of the codes, each (n, latent), in fp32."""
        return super().encode(fold(x))

    def decode(self, code: Tensor, *, size: Sequence[int] | None = None) -> Tensor:
        """(n, latent) to logits (n, labels, *size); `size` is that of the network."""
        return unfold(super().decode(code))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mean and log variance of maps; see `VariationalAutoencoder`."""
        mean, log_variance = self.encode(x)
        code = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(code), mean, log_variance
