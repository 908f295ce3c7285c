"""The Wasserstein GAN with clipped weights (Arjovsky et al., ICML 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class WGAN(Adversarial):
    """Five steps of a critic whose weights are clipped after each, RMSprop, algorithm 1 of the paper.

    Args:
        limit: c, largest size of a weight of the critic.
    """

    name: ClassVar[str] = "wgan"

    objective: str = "wasserstein"
    critic_steps: int = 5
    lr: float = 5e-5
    limit: float = 0.01

    def networks(self) -> dict[str, nn.Module]:
        """Residual generator and critic."""
        dims, widths = self.spatial_dims, self.widths
        return {
            GENERATOR: ResidualGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ResidualDiscriminator(widths=widths[1:], spectral=False, spatial_dims=dims),
        }

    def players(self) -> tuple[Player, ...]:
        """RMSprop, as momentum made the paper's critic unstable."""
        return (
            Player(
                name=DISCRIMINATOR,
                networks=(DISCRIMINATOR,),
                optimiser="rmsprop",
                steps=self.critic_steps,
                rate=self.discriminator_rate,
            ),
            Player(name=GENERATOR, networks=(GENERATOR,), optimiser="rmsprop"),
        )

    def after_step(self, player: str, networks: Networks) -> None:
        """Clip the critic's weights to [-c, c]."""
        if player == DISCRIMINATOR:
            with torch.no_grad():
                for parameter in networks.exact(DISCRIMINATOR).parameters():
                    parameter.clamp_(-self.limit, self.limit)
