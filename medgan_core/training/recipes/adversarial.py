"""The game of generator and discriminator over images from nothing; each GAN recipe says what is its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from torch import Tensor

from medgan_core.losses.adversarial import OBJECTIVES, Objective
from medgan_core.losses.feature_matching import mean_feature_matching
from medgan_core.losses.penalties import gradient_penalty_at, interpolate, zero_centred_penalty
from medgan_core.networks.discriminator import Discriminator
from medgan_core.training.diffaugment import Augmentation, DiffAugment
from medgan_core.training.loading import Samples
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Forward, Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs, Recipe
from medgan_core.training.recipes.crops import crop_images, crop_size
from medgan_core.training.recipes.generation import from_signed, judge_samples, to_signed

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


@dataclass(frozen=True, kw_only=True)
class Adversarial(Recipe):
    """Two players in turn, on crops of the hippocampus. A subclass gives ``networks`` and its own defaults.

    Its networks are called generator (latents to images in [-1, 1]) and discriminator.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        latent: length of z.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        objective: a key of `losses.adversarial.OBJECTIVES`.
        critic_steps: steps of the discriminator per step of the generator.
        discriminator_rate: the discriminator's learning rate as a multiple of the generator's (two
            time-scales, Heusel 2017).
        gradient_penalty: weight of WGAN-GP's penalty; 0 for none.
        r1: weight of the zero-centred penalty on real images; 0 for none.
        r1_every: the zero-centred penalty is computed at every n-th update, n times as heavy.
        instance_noise: standard deviation of noise on everything the discriminator sees, at the start; it
            falls to 0 over the run (Sonderby 2017, Arjovsky & Bottou 2017).
        augment: differentiable augmentation of everything the discriminator sees.
        feature_matching: weight of the generator's loss on the discriminator's mean features.
    """

    metric: ClassVar[str] = "swd"
    spacing_mm: ClassVar[tuple[float, ...]] = (1.0, 1.0, 1.0)

    batch: int = 16
    lr: float = 2e-4
    schedule: str = "constant"
    warmup: int = 50
    clip: float = 10.0
    ema: float = 0.995
    spatial_dims: int = 2
    latent: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 128)
    objective: str = "non-saturating"
    critic_steps: int = 1
    discriminator_rate: float = 1.0
    gradient_penalty: float = 0.0
    r1: float = 0.0
    r1_every: int = 8
    instance_noise: float = 0.0
    augment: bool = False
    feature_matching: float = 0.0

    @property
    def size(self) -> tuple[int, ...]:
        """Sides of an image."""
        return crop_size(self.spatial_dims)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Crops of the hippocampus."""
        return crop_images(data, spatial_dims=self.spatial_dims, seed=self.seed, validation=validation)

    @property
    def game(self) -> Objective:
        """The objective of the two players."""
        return OBJECTIVES[self.objective]

    def players(self) -> tuple[Player, ...]:
        """The discriminator, then the generator; Adam without much momentum (Radford 2015)."""
        betas = (0.0, 0.9) if self.gradient_penalty else (0.5, 0.99)
        return (
            Player(
                name=DISCRIMINATOR,
                networks=(DISCRIMINATOR,),
                optimiser="adam",
                betas=betas,
                rate=self.discriminator_rate,
                steps=self.critic_steps,
            ),
            Player(name=GENERATOR, networks=(GENERATOR,), optimiser="adam", betas=betas),
        )

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """The objective, with whatever stabilisers are switched on."""
        real = self.real(batch, moment)
        fake = self.fake(networks[GENERATOR], len(real), moment)
        if player == GENERATOR:
            return self._generator_loss(networks, real, fake, moment)
        return self._discriminator_loss(networks, real, fake.detach(), moment)

    def real(self, batch: Batch, moment: Moment) -> Tensor:
        """Real images in [-1, 1], (n, c, *spatial)."""
        return to_signed(batch["image"])

    def fake(self, generator: Forward, count: int, moment: Moment) -> Tensor:
        """Generated images in [-1, 1], (n, c, *spatial)."""
        image: Tensor = generator(moment.normal(count, self.latent))
        return image

    def seen(self, images: Tensor, moment: Moment, augmentation: Augmentation | None) -> Tensor:
        """What the discriminator gets to see of images."""
        if augmentation is not None:
            images = augmentation(images)
        sigma = self.instance_noise * (1 - moment.done)
        return images + sigma * moment.normal(*images.shape) if sigma > 0 else images

    def judge(self, discriminator: Forward, images: Tensor, moment: Moment) -> Tensor:
        """Logits of what the discriminator sees."""
        logits: Tensor = discriminator(images)
        return logits

    def _augmentation(self, images: Tensor, moment: Moment) -> Augmentation | None:
        if not self.augment:
            return None
        policy, spacing = DiffAugment(), self.spacing_mm[: images.ndim - 2]
        numbers = moment.uniform(len(images), policy.numbers(len(spacing)))
        return policy.resolve(numbers, spacing=spacing)

    def _discriminator_loss(
        self, networks: Networks, real: Tensor, fake: Tensor, moment: Moment
    ) -> tuple[Tensor, Logs]:
        discriminator, exact = networks[DISCRIMINATOR], networks.exact(DISCRIMINATOR)
        real, fake = (self.seen(x, moment, self._augmentation(x, moment)) for x in (real, fake))
        on_real, on_fake = (self.judge(discriminator, x, moment) for x in (real, fake))
        loss = self.game.discriminator(on_real, on_fake)
        logs: dict[str, float | Tensor] = {"real": on_real.mean(), "fake": on_fake.mean()}
        if self.gradient_penalty:
            between = interpolate(real, fake, moment.uniform(len(real)))
            penalty = gradient_penalty_at(lambda x: self.judge(exact, x, moment), between)
            loss, logs["penalty"] = loss + self.gradient_penalty * penalty, penalty
        if self.r1 and moment.due(self.r1_every):
            penalty = zero_centred_penalty(lambda x: self.judge(exact, x, moment), real)
            loss, logs["r1"] = loss + self.r1_every * self.r1 * penalty, penalty
        if self.objective in _DECIDES_AT_ZERO:
            logs["right"] = ((on_real > 0).float().mean() + (on_fake < 0).float().mean()) / 2
        return loss, logs

    def _generator_loss(
        self, networks: Networks, real: Tensor, fake: Tensor, moment: Moment
    ) -> tuple[Tensor, Logs]:
        seen = self.seen(fake, moment, self._augmentation(fake, moment))
        if not self.feature_matching:
            return self.game.generator(self.judge(networks[DISCRIMINATOR], seen, moment)), {}
        discriminator = cast("Discriminator", networks.exact(DISCRIMINATOR))
        judge = networks.call(discriminator.judge)
        logits, features = judge(seen)
        _, wanted = judge(self.seen(real, moment, self._augmentation(real, moment)))
        matching = mean_feature_matching(features, [w.detach() for w in wanted])
        return self.game.generator(logits) + self.feature_matching * matching, {"features": matching}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """Distance and diversity of samples, and a picture of them."""
        return judge_samples(lambda n: self.sample(networks, n, moment)["image"], samples)

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """New images in [0, 1]."""
        return {"image": from_signed(self.fake(networks[GENERATOR], count, moment))}


_DECIDES_AT_ZERO = ("minimax", "non-saturating", "hinge")
