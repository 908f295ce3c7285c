"""What every kind of work has in common, and how it and the queue speak while it runs."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from medgan_core import engine
from medgan_core.monitor import Progress

REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study of a batch.

    Args:
        image: its id in the datastore.
        state: queued, running, done or failed.
        results: file name by key of the result.
        verdict: of its report.
        error: a problem document.
        seconds: that its work took.
    """

    image: str
    state: Literal["queued", "running", "done", "failed"] = "queued"
    results: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    error: Mapping[str, Any] | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Results:
    """What work left in its folder: file name by output key, and the report's verdict."""

    files: Mapping[str, str]
    verdict: str


class Channel(Protocol):
    """Between work and the one who waits for it."""

    def progress(self, step: Progress) -> None:
        """Tell where the work stands."""

    def study(self, study: Study) -> None:
        """Tell that a study of a batch changed."""

    def cancelled(self) -> bool:
        """True when the work must stop."""

    def wanted(self) -> bool:
        """True when another client waits for the device: work that can go on later should pause."""


class Silence:
    """A channel to nobody."""

    def progress(self, step: Progress) -> None:
        """Nobody listens."""

    def study(self, study: Study) -> None:
        """Nobody listens."""

    def cancelled(self) -> bool:
        """Nobody cancels."""
        return False

    def wanted(self) -> bool:
        """Nobody else waits."""
        return False


class Paused(Exception):  # noqa: N818  (no error: the work goes on later)
    """The work stopped half-way, of its own accord; it goes on from there when it is performed again."""


@dataclass(frozen=True, kw_only=True)
class Work(ABC):
    """Something to do for a client: plain values, so that it can travel to another process and into a file.

    A new kind is a subclass beside the others, and a line in `kinds`.

    ``reads`` names its fields that hold paths by key. Work that names them reads nothing else, so a machine
    that shares no disk with the server can do it; None says that it cannot. ``patient`` work makes way for
    what somebody waits for, also of the same client.

    Args:
        model: name of the model, of the recipe, or of the scoring method, that it is about.
        settings: choices of the card and of the engine, or of the recipe.
    """

    kind: ClassVar[str]
    reads: ClassVar[tuple[str, ...] | None] = None
    patient: ClassVar[bool] = False

    model: str
    settings: Mapping[str, object] = field(default_factory=dict)

    @abstractmethod
    def perform(
        self, session: engine.Session, folder: Path, channel: Channel, studies: Sequence[Study]
    ) -> Results:
        """Do it; what it makes goes into the folder, with ``report.json`` beside it. Runs inside a worker.

        Args:
            session: holds device and loaded models.
            folder: of the results; holds what an earlier stretch of the same work left.
            channel: to the one who waits.
            studies: as an earlier stretch left them; empty for kinds that have none.

        Raises:
            Paused: when it made room for others.
            MedganError: when it fails; of these `CancelledError` when it was cancelled.
        """

    def studies(self) -> tuple[Study, ...]:
        """Its studies, each still to do; none for kinds that have none."""
        return ()

    def describe(self) -> dict[str, Any]:
        """What a client sees of it: model, target, seed, count, settings, keys of the inputs."""
        return {
            "model": self.model,
            "target": None,
            "seed": 0,
            "count": 1,
            "settings": dict(self.settings),
            "inputs": [],
        }


def place_of(number: int) -> str:
    """The folder of a study's results, inside of the job's: ``001`` for the first (number 0)."""
    return f"{number + 1:03d}"


def write_report(folder: Path, report: Mapping[str, object]) -> None:
    """Write ``report.json`` into the folder of results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(json.dumps(report, default=str), encoding="utf-8")
