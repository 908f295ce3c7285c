"""The game of generator and discriminator over images from nothing; each GAN recipe says what is its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from medgan_core.data.samples import Samples
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes.crops import crop_images, crop_size
from medgan_core.training.recipes.generation import from_signed, judge_samples, to_signed
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR, Stabilised

__all__ = ["DISCRIMINATOR", "GENERATOR", "Adversarial"]


@dataclass(frozen=True, kw_only=True)
class Adversarial(Stabilised):
    """Two players in turn, on crops of the hippocampus. A subclass gives ``networks`` and its own defaults.

    Its networks are called generator (latents to images in [-1, 1]) and discriminator.

    Args:
        latent: length of z.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
    """

    metric: ClassVar[str] = "swd"

    latent: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 128)

    @property
    def size(self) -> tuple[int, ...]:
        """Sides of an image."""
        return crop_size(self.spatial_dims)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Crops of the hippocampus."""
        return crop_images(data, spatial_dims=self.spatial_dims, seed=self.seed, validation=validation)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The objective, with whatever stabilisers are switched on."""
        real = self.real(batch, moment)
        fake = self.fake(networks[GENERATOR], len(real), moment)
        if player == GENERATOR:
            return self.generator_loss(networks, real, fake, moment)
        return self.discriminator_loss(networks, real, fake, moment)

    def real(self, batch: Batch, moment: Moment) -> Tensor:
        """Real images in [-1, 1], (n, c, *spatial)."""
        return to_signed(batch["image"])

    def fake(self, generator: Forward, count: int, moment: Moment) -> Tensor:
        """Generated images in [-1, 1], (n, c, *spatial)."""
        image: Tensor = generator(moment.normal(count, self.latent))
        return image

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Distance and diversity of samples, and a picture of them."""
        return judge_samples(lambda n: self.sample(networks, n, moment)["image"], samples)

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New images in [0, 1]."""
        return {"image": from_signed(self.fake(networks[GENERATOR], count, moment))}
