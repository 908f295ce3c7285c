"""Where jobs are remembered: a small interface, and one that keeps them in memory."""

from __future__ import annotations

import threading
from typing import Protocol

from monailabel_app.jobs.job import Job
from monailabel_app.problems import NotFoundError


class Store(Protocol):
    """Remembers jobs; safe to use from several threads. Files are not its business."""

    def put(self, job: Job) -> None:
        """Remember a job, in place of an earlier one of the same id."""

    def get(self, job_id: str) -> Job:
        """The job; `NotFoundError` when there is none."""

    def jobs(self) -> list[Job]:
        """Every job, oldest first."""

    def remove(self, job_id: str) -> None:
        """Forget a job; nothing happens when there is none."""


class MemoryStore:
    """Keeps jobs until the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """Remember a job, in place of an earlier one of the same id."""
        with self._lock:
            self._jobs[job.id] = job

    def get(self, job_id: str) -> Job:
        """The job.

        Raises:
            NotFoundError: when there is none.
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(
                "There is no such job",
                expected="the id of a job that was neither deleted nor has expired",
                got=job_id[:64],
                action="list the jobs (GET /jobs), or submit again",
            )
        return job

    def jobs(self) -> list[Job]:
        """Every job, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def remove(self, job_id: str) -> None:
        """Forget a job; nothing happens when there is none."""
        with self._lock:
            self._jobs.pop(job_id, None)
