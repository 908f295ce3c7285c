"""The deep convolutional GAN (Radford et al., ICLR 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from medgan_core.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class DCGAN(Adversarial):
    """Strided convolutions, batch norm and Adam with a first moment of 0.5.

    Args:
        transposed: transposed convolutions as in the paper, in place of resizing.
    """

    name: ClassVar[str] = "dcgan"

    transposed: bool = False

    def networks(self) -> dict[str, nn.Module]:
        """The paper's generator and discriminator."""
        size, dims, widths = self.size, self.spatial_dims, self.widths
        return {
            GENERATOR: DCGANGenerator(
                size=size,
                latent=self.latent,
                transposed=self.transposed,
                widths=widths,
                spatial_dims=dims,
            ),
            DISCRIMINATOR: DCGANDiscriminator(size=size, widths=widths, spatial_dims=dims),
        }
