"""The queue as the server uses it: submit, look, wait, cancel, remove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from monailabel_app.jobs import files
from monailabel_app.jobs.dispatcher import Deliver, Dispatcher
from monailabel_app.jobs.executor import Executor
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ledger import Ledger
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import Study
from monailabel_app.problems import BusyError, KeyReusedError, StateError


class JobQueue:
    """Takes jobs, has them done in fair turns, and tells whoever watches. Safe to use from several threads.

    Args:
        store: where jobs are remembered.
        executors: one for every device; each takes the next job when it has done one.
        limit: how many jobs of one client may wait.
        retention: how long jobs are kept, and how much room they may take.
        deliver: see `Dispatcher`.
    """

    def __init__(
        self,
        store: Store,
        executors: Sequence[Executor],
        *,
        limit: int = 64,
        retention: Retention | None = None,
        deliver: Deliver = lambda job, results: None,
    ) -> None:
        self._limit, self._executors = limit, tuple(executors)
        self._ledger = Ledger(store, retention or Retention())
        self._dispatcher = Dispatcher(self._ledger, executors, deliver)
        self.get, self.jobs = store.get, store.jobs
        self.watch, self.room = self._ledger.watch, self._ledger.room
        self.listeners = self._ledger.listeners

    def start(self) -> None:
        """Take over what an earlier server left, then start to work."""
        self._ledger.recover()
        self._dispatcher.start()

    def stop(self) -> None:
        """Interrupt what waits and what runs, end the executors, and return when all is quiet."""
        self._dispatcher.stop()
        self._ledger.store.close()

    def submit(self, job: Job, *, instead: Callable[[Job], bool] = lambda other: False) -> Job:
        """Put a job at the end of its client's.

        Args:
            job: the new one.
            instead: tells of a job that waits or runs whether it will do; then no other is made.

        Returns:
            The job; or, when the client submitted the same request under the same key before, that one; or
            the first that will do.

        Raises:
            BusyError: when too many of the client's jobs are waiting.
            KeyReusedError: when the client submitted another request under the same key.
            StorageFullError: when its files do not fit.
        """
        size = files.size_of(job.folder)
        with self._ledger.changed:
            known = None if job.key is None else self._ledger.store.by_key(job.client, job.key)
            if known is not None:
                if known.digest != job.digest:
                    raise KeyReusedError(
                        "The idempotency key was used for another request",
                        expected="a new key for every new request",
                        got=f"the key of the job {known.id}",
                        action="send the first request again unchanged, or take another key",
                    )
                return known
            for other in self.jobs():
                if not other.final and instead(other):
                    return other
            self._accept(job.client)
            evicted = self._ledger.evict(0, there=size)
            job = self._push(replace(job, size=size, studies=job.work.studies()))
        self._ledger.discard(evicted)
        return job

    def resubmit(self, job_id: str) -> Job:
        """Queue an interrupted job again: the same job, with the inputs it was submitted with.

        Raises:
            NotFoundError: when there is no such job.
            StateError: when it was not interrupted.
            BusyError: when too many of the client's jobs are waiting.
        """
        with self._ledger.changed:
            job = self.get(job_id)
            if job.state != "interrupted":
                raise StateError(
                    "The job cannot be resubmitted",
                    expected="a job that was interrupted",
                    got=f"a job that is {job.state}",
                    action="submit a new job",
                )
            self._accept(job.client)
            return self._push(replace(job, state="queued", started=None, finished=None, error=None))

    def document(self, job: Job) -> dict[str, Any]:
        """The job as a client sees it, with its place in the queue."""
        return self.documents([job])[0]

    def documents(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Jobs as a client sees them, with their places in the queue."""
        order: list[str] = []
        if any(job.state == "queued" for job in jobs):
            with self._ledger.changed:
                order = self._dispatcher.waiting.order()
        places = {job_id: number for number, job_id in enumerate(order, start=1)}
        return [job.document(places.get(job.id) if job.state == "queued" else None) for job in jobs]

    def status(self) -> list[dict[str, Any]]:
        """What each executor is doing."""
        return [executor.status() for executor in self._executors]

    @property
    def alive(self) -> bool:
        """True while there is a thread for every executor, and one that removes what has expired."""
        return self._dispatcher.alive

    def cancel(self, job_id: str) -> None:
        """Ask a job to end; a waiting one ends at once, a running one within about a second.

        Raises:
            NotFoundError: when there is no such job.
        """
        self._dispatcher.cancel(job_id)

    def mark(self, job_id: str, studies: Sequence[Study]) -> None:
        """Record what became of a job's studies after its work; nothing happens when it was removed."""
        self._ledger.update(job_id, studies=tuple(studies))

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """Block until the job is final or the time is over, and return it as it is then.

        Raises:
            NotFoundError: when there is no such job, or it is removed meanwhile.
        """
        with self._ledger.changed:
            self._ledger.changed.wait_for(lambda: self.get(job_id).final, timeout_s)
            return self.get(job_id)

    def remove(self, job_id: str) -> None:
        """End the job if need be, then forget it and delete its files.

        Raises:
            NotFoundError: when there is no such job.
        """
        self.cancel(job_id)
        self._ledger.forget(self.wait(job_id, 10.0))

    def sweep(self) -> None:
        """Remove finished jobs that were kept long enough."""
        self._ledger.sweep()

    def _accept(self, client: str) -> None:
        waiting, stopping = self._dispatcher.waiting.count(client), self._dispatcher.stopping
        if waiting >= self._limit or stopping:
            raise BusyError(
                "The server is stopping" if stopping else "The server's queue is full",
                expected=f"fewer than {self._limit} waiting jobs of one client",
                got=f"{waiting}",
                action="try again when some of them are done",
            )

    def _push(self, job: Job) -> Job:
        self._dispatcher.waiting.push(job.client, job.id, patient=job.work.patient)
        return self._ledger.put(job)
