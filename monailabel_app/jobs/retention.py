"""Which finished jobs must go: those that were kept long enough, and the oldest when room is short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from monailabel_app.jobs.job import Job

_MARGIN = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long finished jobs are kept, and how much room all jobs may take.

    Args:
        keep_s: seconds after its end.
        quota: bytes of uploads and results together.
    """

    keep_s: float = 86400.0
    quota: int = 20 << 30

    def expired(self, jobs: Iterable[Job]) -> list[Job]:
        """Jobs that ended too long ago."""
        now = datetime.now(UTC)
        return [job for job in jobs if job.finished and (now - job.finished).total_seconds() > self.keep_s]

    def victims(
        self, jobs: Sequence[Job], need: int, *, free: int, there: int = 0, sparing: str = ""
    ) -> tuple[list[Job], int]:
        """Finished jobs to remove, oldest first, so that `need` more bytes fit.

        Args:
            jobs: all of them.
            need: bytes that are still to be written.
            free: bytes on the disk; some of it is left to others.
            there: bytes on the disk already that count in no job's size yet.
            sparing: id of a job that is not to be removed.

        Returns:
            The jobs, and how many bytes too many there are without them (0 when all fits).
        """
        used = there + sum(job.size for job in jobs)
        excess = used + need - min(self.quota, used + free - _MARGIN)
        finished = [job for job in jobs if job.finished and job.id != sparing]
        chosen = []
        for job in sorted(finished, key=lambda job: job.finished or job.created):
            if excess <= 0:
                break
            chosen.append(job)
            excess -= job.size
        return chosen, max(0, excess)
