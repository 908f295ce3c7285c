"""The generative adversarial network with cross-entropy (Goodfellow et al., NeurIPS 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class GAN(Adversarial):
    """Residual networks without any stabiliser; ``objective=minimax`` gives the paper's first form."""

    name: ClassVar[str] = "gan"

    def networks(self) -> dict[str, nn.Module]:
        """Residual generator and discriminator."""
        dims, widths = self.spatial_dims, self.widths
        return {
            GENERATOR: ResidualGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ResidualDiscriminator(widths=widths[1:], spectral=False, spatial_dims=dims),
        }
