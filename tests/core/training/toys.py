"""Small real recipes for tests of the loop: a regression, and a tiny adversarial game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.data.samples import Samples
from medgan_core.errors import UsageError
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs, Recipe


class Numbers:
    """Sample n is a point of a noisy line; data that need no files."""

    def __getitem__(self, number: int) -> Batch:
        """Input and truth, (1,) each."""
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(1, generator=generator)
        return {"input": x, "truth": 3 * x - 1 + 0.1 * torch.randn(1, generator=generator)}


@dataclass(frozen=True, kw_only=True)
class Line(Recipe):
    """Fits a line; `poison` makes the loss not finite from that update on."""

    name: ClassVar[str] = "line"
    updates: int = 60
    batch: int = 8
    lr: float = 0.05
    warmup: int = 1
    clip: float = 100.0
    validate_every: int = 20
    poison: int = -1

    def networks(self) -> dict[str, nn.Module]:
        """One weight, one bias."""
        return {"model": nn.Linear(1, 1)}

    def players(self) -> tuple[Player, ...]:
        """One."""
        return (Player(name="model", networks=("model",)),)

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Points of a line."""
        return Numbers()

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Mean square."""
        noise = 0.01 * moment.normal(len(batch["input"]), 1)
        error = (networks.exact("model")(batch["input"] + noise) - batch["truth"]).square().mean()
        if 0 <= self.poison <= moment.step:
            error = error * float("nan")
        return error, {"mae": error.detach().sqrt()}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """How far the weight is from the truth."""
        weight = next(networks.exact("model").parameters())
        return Findings({"loss": float((weight - 3).abs())}, torch.rand(2, 3, 8, 8))


@dataclass(frozen=True, kw_only=True)
class Collapsing(Line):
    """Its samples are said to be alike, varied at updates 10 to 20, and alike again."""

    name: ClassVar[str] = "collapsing"
    validate_every: int = 5

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """The diversity of the update."""
        alike = 0.2 if 10 <= moment.step <= 20 else 0.9
        return Findings({"loss": 1.0, "diversity": alike, "diversity_real": 0.1})


@dataclass(frozen=True, kw_only=True)
class Unjudged(Line):
    """Has nobody to validate on."""

    name: ClassVar[str] = "unjudged"

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """Points to train on alone."""
        if validation:
            raise UsageError("Nobody is there to validate on")
        return Numbers()


@dataclass(frozen=True, kw_only=True)
class Game(Line):
    """A generator that learns the mean of numbers, against a critic; the critic moves twice."""

    name: ClassVar[str] = "game"
    validate_every: int = 1000

    def networks(self) -> dict[str, nn.Module]:
        """Generator and critic, with buffers that change at every call."""
        normed = nn.utils.parametrizations.spectral_norm
        return {
            "generator": nn.Linear(1, 1),
            "critic": nn.Sequential(normed(nn.Linear(1, 4)), nn.Tanh(), normed(nn.Linear(4, 1))),
        }

    def players(self) -> tuple[Player, ...]:
        """The critic first."""
        return (
            Player(name="critic", networks=("critic",), steps=2, rate=2.0),
            Player(name="generator", networks=("generator",), optimiser="adam", betas=(0.5, 0.9)),
        )

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """Wasserstein, with a penalty at every fourth update."""
        critic, real = networks.exact("critic"), batch["truth"]
        fake = networks.exact("generator")(moment.normal(len(real), 1))
        if player == "generator":
            return -critic(fake).mean(), {}
        loss = critic(fake.detach()).mean() - critic(real).mean()
        if moment.due(4):
            loss = loss + 4 * 0.01 * critic(real).square().mean()
        return loss, {"right": (critic(real) > critic(fake)).float().mean()}

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        """Numbers as images of one voxel."""
        return {"image": networks["generator"](moment.normal(count, 1))[:, :, None, None, None]}

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """Nothing is served."""
        return None
