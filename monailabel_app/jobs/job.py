"""What is known about a job, and how a client sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from medgan_core.monitor import Progress
from monailabel_app.jobs.work import Work

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job at one moment; changes make a new one (`dataclasses.replace`).

    Args:
        id: 32 hexadecimal digits.
        work: what to do.
        folder: the job's own; ``inputs`` and ``results`` lie in it.
        state: queued, running, done, failed or cancelled.
        created: when it was submitted (UTC).
        started: when a worker took it.
        finished: when it ended.
        progress: the last word of the worker.
        told: `time.monotonic` of that word.
        device: the worker's.
        results: file name in ``results`` by output key.
        verdict: of the report.
        error: a problem document.
    """

    id: str
    work: Work
    folder: Path
    state: State = "queued"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    progress: Progress | None = None
    told: float = 0.0
    device: str | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    error: Mapping[str, Any] | None = None

    @property
    def final(self) -> bool:
        """True when nothing will change any more."""
        return self.state not in ("queued", "running")

    def document(self, position: int | None) -> dict[str, Any]:
        """The job as a client sees it; `position` is 1 for the next to run, None unless queued."""
        fraction, stage, remaining = 0.0, "", None
        if self.progress is not None:
            fraction, stage, remaining = (
                self.progress.fraction,
                self.progress.stage,
                self.progress.remaining_s,
            )
            if remaining is not None:
                remaining = max(0.0, remaining - (time.monotonic() - self.told))
        if self.final:
            remaining = None
        return {
            "id": self.id,
            "model": self.work.model,
            "target": self.work.target,
            "seed": self.work.seed,
            "count": self.work.count,
            "settings": dict(self.work.settings),
            "inputs": list(self.work.inputs),
            "state": self.state,
            "position": position,
            "fraction": 1.0 if self.state == "done" else round(fraction, 4),
            "stage": stage if self.state == "running" else self.state,
            "elapsed_s": self._elapsed(),
            "remaining_s": None if remaining is None else round(remaining, 2),
            "created": _text(self.created),
            "started": _text(self.started),
            "finished": _text(self.finished),
            "device": self.device,
            "results": list(self.results),
            "verdict": self.verdict,
            "error": None if self.error is None else dict(self.error),
        }

    def _elapsed(self) -> float:
        if self.started is None:
            return 0.0
        return round(((self.finished or datetime.now(UTC)) - self.started).total_seconds(), 3)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
