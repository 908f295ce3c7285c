"""What is known about a job, and how a client sees it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from medgan_core.monitor import Progress
from monailabel_app.jobs import kinds
from monailabel_app.jobs.work import Study, Work

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job at one moment; changes make a new one (`dataclasses.replace`).

    Args:
        id: 32 hexadecimal digits.
        work: what to do.
        folder: the job's own; ``inputs`` and ``results`` lie in it.
        client: who submitted it.
        key: the client's own name for it, so that a repeated submit makes no second job.
        digest: of the submitted request, to tell a repeated submit from another one.
        state: queued, running, done, failed, cancelled, or interrupted by an end of the server.
        created: when it was submitted (UTC).
        started: when a worker took it.
        finished: when it ended.
        size: bytes its folder takes.
        progress: the last word of the worker.
        told: `time.monotonic` of that word.
        device: the worker's.
        studies: of a batch.
        results: file name in ``results`` by output key.
        verdict: of the report.
        error: a problem document.
    """

    id: str
    work: Work
    folder: Path
    client: str = ""
    key: str | None = None
    digest: str = ""
    state: State = "queued"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    size: int = 0
    progress: Progress | None = None
    told: float = 0.0
    device: str | None = None
    studies: tuple[Study, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    error: Mapping[str, Any] | None = None

    @property
    def final(self) -> bool:
        """True when nothing will change of its own accord."""
        return self.state not in ("queued", "running")

    @property
    def lasting(self) -> Job:
        """The job without what is worth nothing after a restart: its progress."""
        return dataclasses.replace(self, progress=None, told=0.0)

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
        if self.state != "running":
            remaining = None
        return {
            "id": self.id,
            "kind": self.work.kind,
            **self.work.describe(),
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
            "studies": [_of_study(study) for study in self.studies],
            "results": list(self.results),
            "verdict": self.verdict,
            "error": None if self.error is None else dict(self.error),
        }

    def to_dict(self) -> dict[str, Any]:
        """What lasts of the job as plain JSON types; its folder is the store's business."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("folder", "progress", "told"):
            del plain[name]
        for name in ("created", "started", "finished"):
            plain[name] = _text(plain[name])
        plain["work"] = kinds.to_dict(self.work)
        plain["studies"] = [dataclasses.asdict(study) for study in self.studies]
        return plain

    @staticmethod
    def from_dict(plain: Mapping[str, Any], folder: Path) -> Job:
        """The job that `to_dict` wrote down.

        Raises:
            KeyError: when its kind of work is unknown.
            TypeError: when a field is missing or unknown.
        """
        fields = dict(plain)
        for name in ("created", "started", "finished"):
            fields[name] = fields[name] and datetime.fromisoformat(fields[name])
        fields["work"] = kinds.from_dict(fields["work"])
        fields["studies"] = tuple(Study(**study) for study in fields["studies"])
        return Job(folder=folder, **fields)

    def _elapsed(self) -> float:
        if self.started is None:
            return 0.0
        finished = self.finished or datetime.now(UTC)
        return round((_whole(finished) - _whole(self.started)).total_seconds(), 3)


def _of_study(study: Study) -> dict[str, Any]:
    return {**dataclasses.asdict(study), "results": list(study.results)}


def _whole(moment: datetime) -> datetime:
    """In whole milliseconds, as it lasts: a job is the same before and after a restart."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
