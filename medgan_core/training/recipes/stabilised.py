"""The two losses of an adversarial game, with the stabilisers that any adversarial recipe may switch on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar, cast

from torch import Tensor

from medgan_core.losses.adversarial import OBJECTIVES, Objective
from medgan_core.losses.feature_matching import mean_feature_matching, paired_feature_matching
from medgan_core.losses.penalties import gradient_penalty_at, interpolate, zero_centred_penalty
from medgan_core.networks.discriminator import Discriminator
from medgan_core.training.diffaugment import Augmentation, DiffAugment
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Logs, Recipe

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
_DECIDES_AT_ZERO = ("minimax", "non-saturating", "hinge")


Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Stabilised(Recipe):
    """A discriminator and a generator that move in turn.

    A condition (the image to translate, a mask) is concatenated to the image along the channels, real and
    generated ones alike, so all that is done to what the discriminator sees is done to both of them.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
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
        feature_matching: weight of the generator's loss on the discriminator's features: on their means
            over the batch, or image by image where every image has a target (`paired`).
    """

    paired: ClassVar[bool] = False
    spacing_mm: ClassVar[tuple[float, ...]] = (1.0, 1.0, 1.0)

    batch: int = 16
    lr: float = 2e-4
    schedule: str = "constant"
    warmup: int = 50
    clip: float = 10.0
    ema: float = 0.995
    spatial_dims: int = 2
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
    def game(self) -> Objective:
        """The objective of the two players."""
        return OBJECTIVES[self.objective]

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Sides of a voxel along the spatial axes; their ratio keeps the augmentation's rotations rigid."""
        return self.spacing_mm[: self.spatial_dims]

    def players(self) -> tuple[Player, ...]:
        """The discriminator, then the generator; Adam without much momentum (Radford 2015)."""
        return self.two_players((DISCRIMINATOR,), (GENERATOR,))

    def two_players(self, discriminators: tuple[str, ...], generators: tuple[str, ...]) -> tuple[Player, ...]:
        """The two sides by the names of their networks."""
        betas = (0.0, 0.9) if self.gradient_penalty else (0.5, 0.99)
        return (
            Player(
                name=DISCRIMINATOR,
                networks=discriminators,
                optimiser="adam",
                betas=betas,
                rate=self.discriminator_rate,
                steps=self.critic_steps,
            ),
            Player(name=GENERATOR, networks=generators, optimiser="adam", betas=betas),
        )

    def seen(self, images: Tensor, moment: Moment, augmentation: Augmentation | None) -> Tensor:
        """What the discriminator gets to see of images."""
        if augmentation is not None:
            images = augmentation(images)
        sigma = self.instance_noise * (1 - moment.done)
        return images + sigma * moment.normal(*images.shape) if sigma > 0 else images

    def judge(self, discriminator: Callable[..., Answer], images: Tensor, moment: Moment) -> Answer:
        """What the discriminator answers to what it sees: logits, or also features where it is asked so."""
        return discriminator(images)

    def discriminator_loss(
        self, networks: Networks, real: Tensor, fake: Tensor, moment: Moment, *, name: str = DISCRIMINATOR
    ) -> tuple[Tensor, Logs]:
        """The discriminator's side of the objective and its penalties.

        Args:
            networks: of the run.
            real: (n, c, *spatial) in [-1, 1].
            fake: the same shape; no gradient reaches what made them.
            moment: of the step.
            name: of the discriminator.
        """
        discriminator, exact = networks[name], networks.exact(name)
        real, fake = (self.seen(x, moment, self._augmentation(x, moment)) for x in (real, fake.detach()))
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

    def generator_loss(
        self, networks: Networks, real: Tensor, fake: Tensor, moment: Moment, *, name: str = DISCRIMINATOR
    ) -> tuple[Tensor, Logs]:
        """The generator's side of the objective, and feature matching; arguments as `discriminator_loss`."""
        augmentation = self._augmentation(fake, moment)
        seen = self.seen(fake, moment, augmentation)
        if not self.feature_matching:
            return self.game.generator(self.judge(networks[name], seen, moment)), {}
        discriminator = cast("Discriminator", networks.exact(name))
        with_features = networks.call(discriminator.judge)
        logits, features = self.judge(with_features, seen, moment)
        _, wanted = self.judge(with_features, self.seen(real, moment, augmentation), moment)
        match = paired_feature_matching if self.paired else mean_feature_matching
        matching = match(features, wanted)
        return self.game.generator(logits) + self.feature_matching * matching, {"features": matching}

    def _augmentation(self, images: Tensor, moment: Moment) -> Augmentation | None:
        if not self.augment:
            return None
        policy = DiffAugment()
        numbers = moment.uniform(len(images), policy.numbers(self.spatial_dims))
        return policy.resolve(numbers, spacing=self.voxel_mm)
