"""A finished run, opened: its recipe, its averaged networks, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgan_core.engine import Session
from medgan_core.monitor import Monitor
from medgan_core.training import RECIPES, folder
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Recipe

_AT_ONCE = 16
_SAMPLE_SEED = 104729


@dataclass(frozen=True, eq=False)
class Finished:
    """What `folder` keeps of a run that reached its end, ready to compute; `open` makes it.

    Args:
        path: the run's folder.
        recipe: with the settings it was trained with.
        networks: the averaged ones, in fp32 and in evaluation mode, without gradients.
        updates: done in training.
        device: where the networks are.
    """

    path: Path
    recipe: Recipe
    networks: Networks
    updates: int
    device: torch.device

    @staticmethod
    def open(run: Path, *, device: str = "auto", recipes: Mapping[str, type[Recipe]] = RECIPES) -> Finished:
        """Read a run's folder.

        Args:
            run: the folder.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            recipes: those there are, by name.

        Raises:
            UsageError: when it holds no run, one that is not finished, or one of an unknown recipe.
        """
        recipe = folder.rebuilt(run, recipes)
        modules = folder.trained(run, recipe)
        place = torch.device(Session(device).device)
        networks = Networks({k: m.to(place) for k, m in modules.items()}, place, mixed=False)
        return Finished(run, recipe, networks, int(folder.done(run)["updates"]), place)

    def moment(self, *seed: int) -> Moment:
        """The moment after the last update, with random numbers of this seed."""
        return Moment.at(self.updates, self.recipe.updates, seed=seed, device=self.device)

    def draw(self, count: int, *, seed: int = 0, monitor: Monitor | None = None) -> dict[str, Tensor]:
        """New images (count, c, *spatial) by name, on the CPU; 0 to 1 where the data are.

        Batches have seeds of their own, so the first images are the same however many are drawn after them.

        Raises:
            UsageError: when the recipe draws nothing from nothing.
            CancelledError: when the monitor is cancelled.
        """
        drawn: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for first in range(0, count, _AT_ONCE):
                if monitor is not None:
                    monitor.step(first / count)
                moment = self.moment(_SAMPLE_SEED, seed, first)
                number = min(_AT_ONCE, count - first)
                for name, part in self.recipe.sample(self.networks, number, moment).items():
                    drawn.setdefault(name, []).append(part.cpu())
        return {name: torch.cat(parts) for name, parts in drawn.items()}
