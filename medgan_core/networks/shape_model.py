"""A generator of label maps: a variational autoencoder of shapes on folded voxels.

From few maps an autoencoder's codes do not become standard normal, and what is decoded from standard normal
ones is no shape. So the mean and covariance of the codes are followed in training and codes drawn from that
normal distribution: a fit of the aggregated posterior (Ghosh et al., "From variational to deterministic
autoencoders", ICLR 2020, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medgan_core.networks.autoencoder import VariationalAutoencoder
from medgan_core.networks.folding import fold, unfold

_FOLLOWED = 0.02
"""Share of a batch in the running mean and covariance."""


class ShapeModel(VariationalAutoencoder):
    """One-hot label maps to Gaussian codes to logits of labels (Kingma & Welling 2014).

    Attributes:
        latent: shape of one code without the batch axis, (latent,); see `draw`.
        centre: (latent,), mean of the codes of training maps.
        spread: (latent, latent), their covariance.

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
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.zeros(latent))
        self.register_buffer("spread", torch.eye(latent))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, labels, *size) to mean and log variance of the codes, each (n, latent), in fp32."""
        return super().encode(fold(x))

    def decode(self, code: Tensor, *, size: Sequence[int] | None = None) -> Tensor:
        """(n, latent) to logits (n, labels, *size); `size` is that of the network."""
        return unfold(super().decode(code))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mean and log variance of maps; see `VariationalAutoencoder`."""
        mean, log_variance = self.encode(x)
        if self.training:
            self._follow(mean.detach(), log_variance.detach())
        code = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(code), mean, log_variance

    def draw(self, normal: Tensor) -> Tensor:
        """Logits (n, labels, *size) of the codes that standard normal numbers (n, latent) stand for.

        They become ``centre + normal @ spread^(1/2)``, with the symmetric root, which is the same everywhere.
        """
        values, vectors = torch.linalg.eigh(self.spread.double())
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        return self.decode(self.centre + normal @ root.to(normal.dtype))

    @torch.no_grad()
    def _follow(self, mean: Tensor, log_variance: Tensor) -> None:
        off = mean - self.centre
        now = off.T @ off / len(mean) + torch.diag(log_variance.exp().mean(0))
        self.spread.lerp_(now, _FOLLOWED)
        self.centre.lerp_(mean.mean(0), _FOLLOWED)
