"""The life of jobs on record: every change is stored and told to whoever watches; files follow."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from monailabel_app.jobs import files
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.watchers import Watchers
from monailabel_app.problems import NotFoundError, ServerEndedError, StorageFullError, problem

logger = logging.getLogger(__name__)


class Ledger:
    """Jobs with their files; safe to use from several threads.

    Args:
        store: where jobs are remembered.
        retention: how long jobs are kept, and how much room they may take.
    """

    def __init__(self, store: Store, retention: Retention) -> None:
        self.store, self._retention = store, retention
        # What does not become a job's is bounded by the disk alone.
        self._disk = replace(retention, quota=sys.maxsize)
        # Notified at every change of any job.
        self.changed = threading.Condition()
        self._watchers = Watchers()
        # Bytes that uploads will take, by whether they become a job's, and that removed jobs still take.
        self._reserved, self._leaving = {True: 0, False: 0}, 0
        # Told of every change of any job (audit, metrics); must not block.
        self.listeners: list[Callable[[Job], None]] = []
        self.watch = self._watchers.add

    def recover(self) -> None:
        """Mark what an earlier server left undone as interrupted, and clean up after it."""
        for job in self.store.jobs():
            if not job.final:
                self.interrupt(job.id)
        files.remove_strays(self.store)
        self.sweep()

    def put(self, job: Job) -> Job:
        """Record a job, or its change."""
        with self.changed:
            self.store.put(job)
            self.changed.notify_all()
        for listener in self.listeners:
            try:
                listener(job)
            except Exception:
                logger.exception("a listener to job %s", job.id)
        self._watchers.alert(job.id)
        return job

    def update(self, job_id: str, **changes: Any) -> None:
        """Record a change; nothing happens when the job was removed meanwhile."""
        with self.changed, contextlib.suppress(NotFoundError):
            self.put(replace(self.store.get(job_id), **changes))

    def finish(self, job_id: str, **changes: Any) -> None:
        """Record the end of a job; its uploads go, and what it has half done."""
        with contextlib.suppress(NotFoundError):
            job = replace(self.store.get(job_id), **changes)
            # Not under the lock: polls need it, and a disk may be slow.
            files.remove_inputs(job)
            if job.state != "done":
                files.remove_half_done(job)
            size = files.size_of(job.folder)
            self.update(job_id, finished=datetime.now(UTC), size=size, **changes)

    def interrupt(self, job_id: str) -> None:
        """The server ends, or has ended: the uploads stay, so that the job can be resubmitted."""
        with self.changed, contextlib.suppress(NotFoundError):
            job = self.store.get(job_id)
            files.remove_half_done(job)
            studies = tuple(replace(s, state="queued") if s.state == "running" else s for s in job.studies)
            ended = ServerEndedError(
                "The server ended before the job was done",
                expected="a job that is done",
                got="an end of the server",
                action="resubmit the job; its inputs are kept",
            )
            job = replace(job, state="interrupted", finished=datetime.now(UTC), error=problem(ended))
            size = files.size_of(job.folder)
            self.put(replace(job, progress=None, studies=studies, size=size))

    def forget(self, job: Job) -> None:
        """Remove a job and its files."""
        with self.changed:
            self.store.remove(job.id)
            self.changed.notify_all()
        files.remove_all(job)
        self._watchers.alert(job.id)

    def sweep(self) -> None:
        """Remove finished jobs that were kept long enough, and write what could not be written before."""
        self.store.flush()
        for job in self._retention.expired(self.store.jobs()):
            self.forget(job)

    def evict(self, size: int, *, there: int = 0) -> list[Job]:
        """Take the oldest finished jobs off the record until so many bytes fit.

        No job goes for what uploads under way have only announced; that must fit beside them nevertheless.

        Args:
            size: bytes that are about to be written.
            there: bytes on the disk already that count in no job's size yet.

        Returns:
            The jobs; their files are still there, for `discard`.

        Raises:
            StorageFullError: when the bytes do not fit, whatever is removed.
        """
        with self.changed:
            self._require(self._retention, size, there=there)
            victims, _ = self._victims(self._retention, size, there=there)
            return self._unlist(victims)

    def settle(self, job: Job) -> list[Job]:
        """As `evict`, for what a job has made: what can go goes, and what is too much then stays."""
        grown = max(0, files.size_of(job.folder) - job.size)
        with self.changed:
            victims, lacking = self._victims(self._retention, 0, there=grown, sparing=job.id)
            if lacking:
                logger.warning("with job %s there are %.1f MB more than fit", job.id, lacking / 1e6)
            return self._unlist(victims)

    def make_way(self, size: int) -> None:
        """Free the disk for so many bytes that have come and are about to be written.

        The oldest finished jobs go if need be; what is too much then is for the disk to refuse.
        """
        with self.changed:
            victims, _ = self._victims(self._disk, size)
            evicted = self._unlist(victims)
        self.discard(evicted)

    def _require(self, retention: Retention, size: int, *, there: int = 0) -> None:
        """Refuse bytes that do not fit beside what uploads will take, though all finished jobs went."""
        free = self._free()
        _, lacking = retention.victims(
            self.store.jobs(), size + self._reserved[True], free=free - self._reserved[False], there=there
        )
        if lacking:
            quota = f"at most {retention.quota / 1e6:,.0f} MB of uploads and results together"
            raise StorageFullError(
                "The server has no room for the upload",
                expected="room on its disk" if retention is self._disk else quota,
                got=f"{(size + there) / 1e6:,.1f} MB more, with {free / 1e6:,.0f} MB left on the disk",
                action="delete jobs that are not needed, or start the server with more disk or --quota-gb",
            )

    def _victims(
        self, retention: Retention, size: int, *, there: int = 0, sparing: str = ""
    ) -> tuple[list[Job], int]:
        """Jobs that may go for so many bytes, and how many bytes then lack room."""
        return retention.victims(self.store.jobs(), size, free=self._free(), there=there, sparing=sparing)

    def _free(self) -> int:
        return files.free_bytes(self.store.folder) + self._leaving

    def _unlist(self, victims: list[Job]) -> list[Job]:
        for job in victims:
            self.store.remove(job.id)
            self._leaving += job.size
        self.changed.notify_all()
        return victims

    def discard(self, evicted: Sequence[Job]) -> None:
        """Remove the files of jobs that are off the record. Not under the lock: polls need it."""
        for job in evicted:
            files.remove_all(job)
            with self.changed:
                self._leaving -= job.size
            self._watchers.alert(job.id)

    @contextlib.contextmanager
    def room(self, size: int, *, job: bool = True) -> Iterator[Callable[[int], None]]:
        """Keep so many bytes free for an upload while it comes; nothing is removed for what is announced.

        Args:
            size: bytes that are announced.
            job: they become a job's, so the quota bounds them; else the disk alone does.

        Yields:
            `make_way`, to be called with the size of what has come before it is written.

        Raises:
            StorageFullError: when they do not fit, whatever is removed.
        """
        with self.changed:
            self._require(self._retention if job else self._disk, size)
            self._reserved[job] += size
        try:
            yield self.make_way
        finally:
            with self.changed:
                self._reserved[job] -= size
