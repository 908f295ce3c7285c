"""The queue: first come, first served; one thread for every executor; nobody waits for anything else."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from medgan_core.errors import CancelledError
from monailabel_app.jobs.executor import Executor
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import REPORT
from monailabel_app.problems import BusyError, NotFoundError, foreseen, problem

logger = logging.getLogger(__name__)


class JobQueue:
    """Takes jobs, has them done, and tells whoever watches. Safe to use from several threads.

    Args:
        store: where jobs are remembered.
        executors: one for every device.
        limit: how many jobs may wait.
        keep_s: how long a finished job and its files are kept.
    """

    def __init__(
        self, store: Store, executors: Sequence[Executor], *, limit: int = 64, keep_s: float = 3600.0
    ) -> None:
        self._store, self._executors = store, tuple(executors)
        self._limit, self._keep_s = limit, keep_s
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._cancelled: set[str] = set()
        self._watchers: dict[str, set[Callable[[], None]]] = {}
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the executors and a thread for each."""
        for executor in self._executors:
            executor.start()
            thread = threading.Thread(
                target=self._serve, args=(executor,), daemon=True, name=f"queue-{executor.device}"
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Cancel everything, end the executors, and return when all is quiet."""
        with self._changed:
            self._stopping = True
            waiting = list(self._waiting)
            self._cancelled.update(job.id for job in self._store.jobs() if not job.final)
            self._changed.notify_all()
        for job_id in waiting:
            self.cancel(job_id)
        for executor in self._executors:
            executor.stop()
        for thread in self._threads:
            thread.join(5.0)

    def submit(self, job: Job) -> None:
        """Put a job at the end.

        Raises:
            BusyError: when too many are waiting.
        """
        self.sweep()
        with self._changed:
            if len(self._waiting) >= self._limit or self._stopping:
                raise BusyError(
                    "The server's queue is full",
                    expected=f"fewer than {self._limit} waiting jobs",
                    got=f"{len(self._waiting)}",
                    action="try again when some of them are done",
                )
            self._store.put(job)
            self._waiting.append(job.id)
            self._changed.notify_all()

    def get(self, job_id: str) -> Job:
        """The job; `NotFoundError` when there is none."""
        return self._store.get(job_id)

    def jobs(self) -> list[Job]:
        """Every job, oldest first."""
        return self._store.jobs()

    def document(self, job: Job) -> dict[str, Any]:
        """The job as a client sees it, with its place in the queue."""
        with self._changed:
            waiting = list(self._waiting)
        position = waiting.index(job.id) + 1 if job.id in waiting else None
        return job.document(position if job.state == "queued" else None)

    def status(self) -> list[dict[str, Any]]:
        """What each executor is doing."""
        return [executor.status() for executor in self._executors]

    def cancel(self, job_id: str) -> None:
        """Ask a job to end; a waiting one ends at once, a running one within about a second.

        Raises:
            NotFoundError: when there is no such job.
        """
        job = self._store.get(job_id)
        with self._changed:
            if job_id in self._waiting:
                self._waiting.remove(job_id)
                self._finish(job, state="cancelled")
            elif not job.final:
                self._cancelled.add(job_id)

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """Block until the job is final or the time is over, and return it as it is then.

        Raises:
            NotFoundError: when there is no such job, or it is removed meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._store.get(job_id).final, timeout_s)
        return self._store.get(job_id)

    def remove(self, job_id: str) -> None:
        """End the job if need be, then forget it and delete its files.

        Raises:
            NotFoundError: when there is no such job.
        """
        self.cancel(job_id)
        job = self.wait(job_id, 10.0)
        self._store.remove(job_id)
        shutil.rmtree(job.folder, ignore_errors=True)
        with self._changed:
            self._changed.notify_all()
            self._alert(job_id)

    def watch(self, job_id: str, alert: Callable[[], None]) -> Callable[[], None]:
        """Have `alert` called (from any thread, it must not block) at every change.

        Returns:
            A function that ends the watch.
        """
        with self._changed:
            self._watchers.setdefault(job_id, set()).add(alert)

        def end() -> None:
            with self._changed:
                alerts = self._watchers.get(job_id, set())
                alerts.discard(alert)
                if not alerts:
                    self._watchers.pop(job_id, None)

        return end

    def sweep(self) -> None:
        """Remove finished jobs that were kept long enough."""
        now = datetime.now(UTC)
        for job in self._store.jobs():
            if job.finished is not None and (now - job.finished).total_seconds() > self._keep_s:
                self._store.remove(job.id)
                shutil.rmtree(job.folder, ignore_errors=True)

    def _serve(self, executor: Executor) -> None:
        while True:
            with self._changed:
                # Woken now and then, so that old results do not wait for the next job to be swept.
                self._changed.wait_for(lambda: self._waiting or self._stopping, 60.0)
                if self._stopping:
                    return
                job = self._store.get(self._waiting.popleft()) if self._waiting else None
                if job is not None:
                    job = replace(job, state="running", started=datetime.now(UTC), device=executor.device)
                    self._put(job)
            if job is None:
                self.sweep()
            else:
                self._do(executor, job)

    def _do(self, executor: Executor, job: Job) -> None:
        try:
            results = executor.run(
                job,
                progress=lambda step: self._update(job, progress=step, told=time.monotonic()),
                cancelled=lambda: job.id in self._cancelled,
            )
        except Exception as error:
            if isinstance(error, CancelledError) or job.id in self._cancelled:
                self._finish(job, state="cancelled")
            else:
                if foreseen(error) is not error:
                    logger.error("job %s", job.id, exc_info=error)
                self._finish(job, state="failed", error=problem(foreseen(error)))
        else:
            self._finish(job, state="done", results=dict(results.files), verdict=results.verdict)
        # A worker that had to be ended is replaced before anybody needs it.
        executor.start()

    def _finish(self, job: Job, **changes: Any) -> None:
        # Uploads are not needed any more, nor is what a job that failed has half written.
        shutil.rmtree(job.folder / "inputs", ignore_errors=True)
        if changes["state"] != "done":
            for path in (job.folder / "results").glob("*"):
                if path.name != REPORT:  # It says why an input was refused.
                    path.unlink(missing_ok=True)
        with self._changed:
            self._cancelled.discard(job.id)
            self._update(job, finished=datetime.now(UTC), **changes)

    def _update(self, job: Job, **changes: Any) -> None:
        with self._changed, contextlib.suppress(NotFoundError):  # It may have been removed meanwhile.
            self._put(replace(self._store.get(job.id), **changes))

    def _put(self, job: Job) -> None:
        self._store.put(job)
        self._changed.notify_all()
        self._alert(job.id)

    def _alert(self, job_id: str) -> None:
        for alert in tuple(self._watchers.get(job_id, ())):
            alert()
