"""The smallest systems that go through the whole engine: a linear generator, and one with a served model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.card import ModelCard, Training
from medgan_core.training import loop
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Batch, Findings, Logs, Recipe
from medgan_core.training.recipes.denoise import Denoise

LATENT = 3


class Ramps:
    """Images that rise along their last axis, by number."""

    def __init__(self, size: tuple[int, ...]) -> None:
        self._size = size

    def __getitem__(self, number: int) -> Batch:
        ramp = torch.linspace(0, 1, self._size[-1]).expand(1, *self._size)
        return {"image": ramp * (1 - 0.1 * (number % 3))}


@dataclass(frozen=True, kw_only=True)
class Tiny(Recipe):
    """A linear map from a latent to an image, trained towards ramps."""

    name: ClassVar[str] = "tiny"
    spacing_mm: ClassVar[tuple[float, ...]] = (2.0, 3.0, 4.0)

    updates: int = 2
    batch: int = 2
    warmup: int = 1
    validate_every: int = 1
    size: tuple[int, ...] = (6, 5, 4)
    channels: int = 1

    def networks(self) -> dict[str, nn.Module]:
        return {"generator": nn.Linear(LATENT, self.channels * math.prod(self.size))}

    def players(self) -> tuple[Player, ...]:
        return (Player(name="generator", networks=("generator",)),)

    def samples(self, data: Path, *, validation: bool) -> Ramps:
        return Ramps(self.size)

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        made = self._images(networks, len(batch["image"]), moment)
        return (made - batch["image"]).square().mean(), {}

    def validate(self, networks: Networks, samples: Ramps, moment: Moment) -> Findings:
        made = self._images(networks, 4, moment)
        error = (made - samples[0]["image"]).square().mean()
        flat = made[:, 0] if made.dim() == 4 else made[:, 0, :, :, 0]
        return Findings({"loss": float(error)}, flat[None])

    def sample(self, networks: Networks, count: int, moment: Moment) -> dict[str, Tensor]:
        image = self._images(networks, count, moment)
        return {"image": image, "labels": (image[:, :1] > 0).long() * 3}

    def _images(self, networks: Networks, count: int, moment: Moment) -> Tensor:
        made: Tensor = networks["generator"](moment.normal(count, LATENT))
        return made.unflatten(1, (self.channels, *self.size))


@dataclass(frozen=True, kw_only=True)
class Served(Tiny):
    """The same beside a denoising network that can be served."""

    name: ClassVar[str] = "served"

    def networks(self) -> dict[str, nn.Module]:
        return {**super().networks(), "denoise": Denoise(widths=(8, 16)).network()}

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        return networks["denoise"]

    def card(self, training: Training) -> ModelCard | None:
        return replace(Denoise(widths=(8, 16)).card(training), name=self.name, version="0.2.0")


TABLE: dict[str, type[Recipe]] = {"tiny": Tiny, "served": Served}


def finished(recipe: Recipe, data: Path, out: Path) -> Path:
    """A run of the recipe, trained to its end."""
    loop.train(recipe, data=data, out=out, command=f"medgan train {recipe.name}", workers=0)
    return out
