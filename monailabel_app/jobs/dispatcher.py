"""Who does what next: a thread for every executor takes a job, has it done, and records how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from medgan_core.errors import CancelledError, MedganError
from medgan_core.monitor import Progress
from monailabel_app.jobs.executor import Executor
from monailabel_app.jobs.fair import FairQueue
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ledger import Ledger
from monailabel_app.jobs.work import Paused, Results, Study
from monailabel_app.problems import WorkerDiedError, foreseen, problem

logger = logging.getLogger(__name__)
_SWEEP_S = 60.0
_STOP_S = 5.0
_REST_S = 1.0

Deliver = Callable[[Job, Results], None]


class Dispatcher:
    """Threads that empty a fair queue, whatever happens to a job.

    Args:
        ledger: where jobs are recorded; its condition guards what is shared here.
        executors: one for every device.
        deliver: called with a job and its results before it counts as done, in the executor's thread; may
            raise `MedganError` to fail it.
    """

    def __init__(self, ledger: Ledger, executors: Sequence[Executor], deliver: Deliver) -> None:
        self.waiting = FairQueue()
        self.stopping = False
        self._ledger, self._executors, self._deliver = ledger, tuple(executors), deliver
        self._cancelled: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the executors and a thread for each, and one that removes what has expired."""
        for executor in self._executors:
            executor.start()
            self._begin(partial(self._serve, executor), f"queue-{executor.device}")
        self._begin(self._sweep_now_and_then, "queue-sweep")

    @property
    def alive(self) -> bool:
        """True while every thread lives."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Interrupt everything, end the executors, and return when all is quiet."""
        with self._ledger.changed:
            self.stopping = True
            self._ledger.changed.notify_all()
        for executor in self._executors:
            executor.stop()
        for thread in self._threads:
            thread.join(_STOP_S)
        with self._ledger.changed:
            while self.waiting:
                self._ledger.interrupt(self.waiting.pop())

    def cancel(self, job_id: str) -> None:
        """End a waiting job at once, and ask a running one to end."""
        with self._ledger.changed:
            if self.waiting.remove(job_id):
                self._ledger.finish(job_id, state="cancelled")
            elif not self._ledger.store.get(job_id).final:
                self._cancelled.add(job_id)

    def cancelled(self, job_id: str) -> bool:
        """True when a running job was asked to end."""
        return job_id in self._cancelled

    def _begin(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _sweep_now_and_then(self) -> None:
        while not self._stops_within(_SWEEP_S):
            try:
                self._ledger.sweep()
            except Exception:
                logger.exception("expired jobs are removed later")

    def _stops_within(self, seconds: float) -> bool:
        with self._ledger.changed:
            return self._ledger.changed.wait_for(lambda: self.stopping, seconds)

    def _serve(self, executor: Executor) -> None:
        """Do one job after the other. What goes wrong beside the work is logged, and the thread goes on."""
        while not self.stopping:
            try:
                self._next(executor)
            except Exception:
                logger.exception("the queue of %s goes on", executor.device)
                self._stops_within(_REST_S)

    def _next(self, executor: Executor) -> None:
        with self._ledger.changed:
            self._ledger.changed.wait_for(lambda: self.waiting or self.stopping)
            if self.stopping:
                return
            job = self._ledger.store.get(self.waiting.pop())
            started = job.started or datetime.now(UTC)
            job = replace(job, state="running", started=started, device=executor.device)
        try:
            self._ledger.put(job)
            self._do(executor, job)
        except Exception as error:
            # Not `finish`: the files may be what went wrong.
            ended = {"finished": datetime.now(UTC), "error": problem(foreseen(error))}
            self._ledger.update(job.id, state="failed", **ended)
            raise
        finally:
            with self._ledger.changed:
                self._cancelled.discard(job.id)
            # A worker that had to be ended is replaced before anybody needs it.
            executor.start()

    def _do(self, executor: Executor, job: Job) -> None:
        try:
            results = executor.run(job, _Line(self, self._ledger, job))
            self._deliver(job, results)
            # What ended well stays, whatever its size: it may be published, or in the store.
            self._ledger.discard(self._ledger.settle(job))
            self._ledger.finish(job.id, state="done", results=dict(results.files), verdict=results.verdict)
        except Paused:
            self._again(job)
        except Exception as error:
            self._failed(job, error)

    def _failed(self, job: Job, error: Exception) -> None:
        if job.id in self._cancelled:
            self._ledger.finish(job.id, state="cancelled")
        elif self.stopping:
            self._ledger.interrupt(job.id)
        elif isinstance(error, CancelledError):
            self._ledger.finish(job.id, state="cancelled")
        elif isinstance(error, WorkerDiedError) and self._blame(job, error):
            self._again(job)
        else:
            known = foreseen(error)
            if known is not error:
                logger.error("job %s", job.id, exc_info=error)
            self._ledger.finish(job.id, state="failed", error=problem(known))

    def _blame(self, job: Job, error: MedganError) -> bool:
        """The study at which a worker died is not tried again, the others are; False when there is none."""
        before = self._ledger.store.get(job.id).studies
        failed = problem(error)
        after = tuple(replace(s, state="failed", error=failed) if s.state == "running" else s for s in before)
        self._ledger.update(job.id, studies=after)
        return after != before

    def _again(self, job: Job) -> None:
        """Back into the queue, before the others of its client."""
        with self._ledger.changed:
            if job.id in self._cancelled:
                self._ledger.finish(job.id, state="cancelled")
            else:
                self.waiting.push(job.client, job.id, front=True, patient=job.work.patient)
                self._ledger.update(job.id, state="queued")


class _Line:
    """A running job's channel: what it says is recorded, what is asked of it is looked up."""

    def __init__(self, dispatcher: Dispatcher, ledger: Ledger, job: Job) -> None:
        self._dispatcher, self._ledger, self._job = dispatcher, ledger, job

    def progress(self, step: Progress) -> None:
        self._ledger.update(self._job.id, progress=step, told=time.monotonic())

    def study(self, study: Study) -> None:
        with self._ledger.changed:
            now = self._ledger.store.get(self._job.id)
            studies = tuple(study if s.image == study.image else s for s in now.studies)
            self._ledger.update(now.id, studies=studies, results={**now.results, **study.results})

    def cancelled(self) -> bool:
        return self._dispatcher.cancelled(self._job.id)

    def wanted(self) -> bool:
        with self._ledger.changed:
            return self._dispatcher.waiting.wants(self._job.client, patient=self._job.work.patient)
