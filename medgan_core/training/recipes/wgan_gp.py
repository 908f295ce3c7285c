"""The Wasserstein GAN with gradient penalty (Gulrajani et al., NeurIPS 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class WGANGP(Adversarial):
    """Five steps of a critic with the penalty of equation 3, weight 10, Adam without momentum."""

    name: ClassVar[str] = "wgan-gp"

    objective: str = "wasserstein"
    critic_steps: int = 5
    gradient_penalty: float = 10.0

    def networks(self) -> dict[str, nn.Module]:
        """Residual generator and critic."""
        dims, widths = self.spatial_dims, self.widths
        return {
            GENERATOR: ResidualGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ResidualDiscriminator(widths=widths[1:], spectral=False, spatial_dims=dims),
        }
