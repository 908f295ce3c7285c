"""The GAN with spectral normalisation (Miyato et al., ICLR 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class SNGAN(Adversarial):
    """Hinge loss, every layer of the discriminator divided by its largest singular value.

    What keeps it stable on few images is on by default: augmentation, a lazy zero-centred penalty, and a
    discriminator that learns faster than the generator.
    """

    name: ClassVar[str] = "sngan"

    objective: str = "hinge"
    discriminator_rate: float = 2.0
    r1: float = 0.1
    augment: bool = True

    def networks(self) -> dict[str, nn.Module]:
        """Residual generator and spectrally normalised discriminator."""
        dims, widths = self.spatial_dims, self.widths
        return {
            GENERATOR: ResidualGenerator(
                size=self.size, latent=self.latent, widths=widths, spatial_dims=dims
            ),
            DISCRIMINATOR: ResidualDiscriminator(widths=widths[1:], spectral=True, spatial_dims=dims),
        }
