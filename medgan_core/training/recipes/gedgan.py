"""GED-GAN: a discriminator that sees gradient directions, and players that answer each other's steps.

The name stands for "gradient eigen-directional generative discriminator". No published algorithm of this
name is known; this is the project's own definition, in two parts that can be switched off:

1. Structure: the discriminator sees each image with its principal eigen-direction field, from the gradient
   structure tensor, sign-free and weighted by coherence (`losses.structure_tensor.direction_field`).
2. Interaction: both players move on one zero-sum objective, E[D(x)] + E[1 - D(G(z))], by adaptive
   competitive gradient descent (`optimisers.acgd`), or each along nonlinear conjugate-gradient directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.losses.adversarial import game_value
from medgan_core.losses.structure_tensor import direction_field, structure_tensor
from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Logs
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial
from medgan_core.training.recipes.stabilised import Answer

_FIELD_CHANNELS = {2: 2, 3: 6}
_BOTH = "both"
_INTERACTIONS = ("none", "conjugate", "competitive")


@dataclass(frozen=True, kw_only=True)
class GEDGAN(Adversarial):
    """Spectral norm keeps the discriminator Lipschitz, so that the objective is bounded.

    With the competitive interaction everything runs in fp32, and penalties of one player alone are off.

    Args:
        structure: part 1.
        sigma: of the structure tensor, in mm.
        interaction: part 2: ``none`` (the players move in turn, with Adam), ``conjugate`` or ``competitive``.
        solve_iterations: cap of the competitive step's linear solve (see `optimisers.acgd`).
        solve_tolerance: residual at which it has converged.
    """

    name: ClassVar[str] = "gedgan"

    objective: str = "bounded"
    structure: bool = True
    sigma: float = 1.5
    interaction: str = "competitive"
    solve_iterations: int = 20
    solve_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if self.interaction not in _INTERACTIONS:
            raise UsageError(
                "There is no such interaction", expected=", ".join(_INTERACTIONS), got=self.interaction
            )
        if self.interaction == "competitive" and (self.r1 or self.gradient_penalty or self.feature_matching):
            raise UsageError(
                "The competitive step moves both players on one objective",
                expected="r1, gradient_penalty and feature_matching 0",
                got="a penalty of one player alone",
                action="leave the penalties out, or choose another interaction",
            )

    def networks(self) -> dict[str, nn.Module]:
        """Residual generator and spectrally normalised discriminator of images with their directions."""
        dims, widths = self.spatial_dims, self.widths
        channels = 1 + self.structure * _FIELD_CHANNELS[dims]
        return {
            GENERATOR: ResidualGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ResidualDiscriminator(
                in_channels=channels, widths=widths[1:], spectral=True, spatial_dims=dims
            ),
        }

    def players(self) -> tuple[Player, ...]:
        """Two in turn, or both at once."""
        if self.interaction == "competitive":
            solve = {"iterations": self.solve_iterations, "tolerance": self.solve_tolerance}
            return (
                Player(
                    name=_BOTH,
                    networks=(GENERATOR,),
                    against=(DISCRIMINATOR,),
                    optimiser="acgd",
                    options=solve,
                ),
            )
        if self.interaction == "none":
            return super().players()
        return (
            Player(
                name=DISCRIMINATOR,
                networks=(DISCRIMINATOR,),
                optimiser="conjugate",
                rate=self.discriminator_rate,
            ),
            Player(name=GENERATOR, networks=(GENERATOR,), optimiser="conjugate"),
        )

    def judge(self, discriminator: Callable[..., Answer], images: Tensor, moment: Moment) -> Answer:
        """The answer to images beside their direction fields."""
        if self.structure:
            spacing = self.spacing_mm[: self.spatial_dims]
            field = direction_field(structure_tensor(images, spacing=spacing, sigma=self.sigma))
            images = torch.cat([images, field.to(images)], dim=1)
        return super().judge(discriminator, images, moment)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The value of the game, which the generator minimises and the discriminator maximises."""
        if player != _BOTH:
            return super().loss(player, networks, batch, moment)
        real = self.real(batch, moment)
        fake = self.fake(networks.exact(GENERATOR), len(real), moment)
        seen = [self.seen(x, moment, self._augmentation(x, moment)) for x in (real, fake)]
        on_real, on_fake = (self.judge(networks.exact(DISCRIMINATOR), x, moment) for x in seen)
        value = game_value(self.game, on_real, on_fake)
        return value, {"real": on_real.mean(), "fake": on_fake.mean()}
