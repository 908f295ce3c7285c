"""A finished run judged as its training judged it, but on every sample of the patients left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import torch

from medgan_core.data.samples import Samples
from medgan_core.data.witness import Patient, witnessed
from medgan_core.monitor import Monitor, Progress
from medgan_core.training import RECIPES, folder
from medgan_core.training.finished import Finished
from medgan_core.training.loading import Batch
from medgan_core.training.recipe import Recipe
from medgan_core.training.run import VALIDATION_SEED


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a run's own validation came to.

    Args:
        recipe: its name.
        updates: of the training.
        samples: that were looked at, those of the last window that repeat included.
        windows: validations that they were shared among; each looks at as many as one in training does, so
            there is one where that looks at all.
        numbers: by name the mean over the windows.
        spread: by name the standard deviation over the windows; empty where there is one.
        trained_on: patients who were looked at and whom the run had trained on, sorted; where there are any
            the numbers are too good.
    """

    recipe: str
    updates: int
    samples: int
    windows: int
    numbers: dict[str, float]
    spread: dict[str, float]
    trained_on: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, str]]:
        """A line for each number, in words."""
        return [
            {
                "number": name,
                "mean": f"{value:.4g}",
                "spread": f"{self.spread[name]:.2g}" if name in self.spread else "",
                "samples": str(self.samples),
            }
            for name, value in self.numbers.items()
        ]


def validate(
    run: Path,
    *,
    data: Path,
    device: str = "auto",
    recipes: Mapping[str, type[Recipe]] = RECIPES,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Validation:
    """Go through all samples of the patients left out, as many at a time as a validation in training takes.

    Samples that are simulated have no end; of these, one validation's are looked at.

    Args:
        run: folder of a finished run.
        data: folder with the manifest, or a pack.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        recipes: those there are, by name.
        progress: called before every window.
        cancel: polled before every window.

    Raises:
        UsageError: when the run is not finished, or of an unknown recipe.
        CancelledError: when cancelled.
    """
    opened = Finished.open(run, device=device, recipes=recipes)
    recipe = opened.recipe
    with witnessed() as judged:
        samples = recipe.samples(data, validation=True)
    count = len(samples) if isinstance(samples, Sized) else 0
    found: list[dict[str, float]] = []
    seen = 0
    monitor = Monitor(progress, cancel)
    with monitor.stage(f"evaluating {recipe.name}", 1.0), torch.no_grad():
        while not found or seen < count:
            monitor.step(seen / max(count, 1))
            window = _Window(samples, seen)
            moment = opened.moment(recipe.seed, VALIDATION_SEED)
            shown = samples if recipe.judges_all else window
            found.append(recipe.validate(opened.networks, shown, moment).numbers)
            used = count if recipe.judges_all else window.used
            if not used:
                break
            seen += used
    names = found[0]
    several = len(found) > 1
    return Validation(
        recipe=recipe.name,
        updates=opened.updates,
        samples=seen,
        windows=len(found),
        numbers={name: fmean(numbers[name] for numbers in found) for name in names},
        spread={name: stdev(numbers[name] for numbers in found) for name in names} if several else {},
        trained_on=_both(judged, folder.read(run) or ()),
    )


def _both(judged: Collection[Patient], read: Collection[Patient]) -> tuple[str, ...]:
    known = {(one.set, one.patient) for one in read}
    return tuple(sorted(one.patient for one in judged if (one.set, one.patient) in known))


class _Window:
    """Samples from a number on, which remembers how many were asked for.

    Attributes:
        used: the highest number asked for, and one.
    """

    def __init__(self, samples: Samples, first: int) -> None:
        self._samples, self._first = samples, first
        self.used = 0

    def __getitem__(self, number: int) -> Batch:
        self.used = max(self.used, number + 1)
        return self._samples[self._first + number]
