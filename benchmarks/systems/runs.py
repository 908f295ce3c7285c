"""The runs below one folder: which are finished, what they took, and their networks to judge."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from medgan_core.training import RECIPES, folder
from medgan_core.training.comparison import Summary, summary
from medgan_core.training.finished import Finished


class Runs:
    """Runs by the names in `plan`.

    Args:
        folder: that holds their folders.
        device: where they are judged.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.folder, self._device = folder, device
        self.open = cache(self._open)

    def path(self, name: str) -> Path:
        """The run's folder, there or not."""
        return self.folder / name

    def missing(self, names: Iterable[str]) -> dict[str, str]:
        """Those that cannot be judged, and why, in words; empty when all are finished."""
        return {name: why for name in names if (why := self._trouble(name))}

    def stopped(self, name: str) -> str:
        """Why the watch ended a run, or "" when it did not."""
        return folder.stopped(self.path(name))

    def rollbacks(self, name: str) -> int:
        """How often the watch took a run back to good weights; a step that ended the run is none."""
        return len(folder.metrics(self.path(name), "watch")) - bool(self.stopped(name))

    def summary(self, name: str) -> Summary:
        """What the run took: updates, minutes, parameters, rollbacks.

        Raises:
            UsageError: when there is no such run.
        """
        return summary(self.path(name), name, RECIPES)

    def hashes(self, name: str) -> dict[str, str]:
        """sha256 of the run's weights, by network."""
        return folder.hashes(self.path(name))

    def _open(self, name: str) -> Finished:
        """The run's recipe and networks; opened once.

        Raises:
            UsageError: when it is not finished.
        """
        return Finished.open(self.path(name), device=self._device)

    def _trouble(self, name: str) -> str:
        if folder.is_done(self.path(name)):
            return ""
        why = self.stopped(name)
        return f"was stopped by the watch ({why})" if why else "is not finished"
