"""Jobs as MONAI Label's long tasks: what its ``/train`` and ``/batch/infer`` tell of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from monailabel_app.api.jobs import follow
from monailabel_app.jobs.job import Job
from monailabel_app.problems import BusyError, NotFoundError
from monailabel_app.service import Service

_WORDS = {
    "queued": "SUBMITTED",
    "running": "RUNNING",
    "done": "DONE",
    "failed": "ERROR",
    "cancelled": "STOPPED",
    "interrupted": "STOPPED",
}


class Task(BaseModel):
    """A task as stock clients know it."""

    id: str = Field(description="also the id of a job: GET /jobs/{id} tells more")
    status: str = Field(description="SUBMITTED, RUNNING, DONE, ERROR or STOPPED")
    request: dict[str, Any]
    start_ts: str
    end_ts: str | None = None
    details: list[str] = Field(description="what is going on, or went wrong, in words")


class StockTasks:
    """The jobs of one kind, seen so.

    Args:
        service: has the queue.
        kind: as MONAI Label calls it: ``train`` or ``batch``.
        more: kinds of work that go by the same name there.
    """

    def __init__(self, service: Service, kind: str, *more: str) -> None:
        self._queue, self._submit, self._kind = service.queue, service.submit, kind
        self._kinds = (kind, *more)

    def status(self, *, all: bool, running: bool) -> Task | list[Task]:
        """The last task, the one that runs, or all of them.

        Raises:
            NotFoundError: when there is none.
        """
        jobs = [job for job in self._jobs() if job.state == "running" or not running]
        if not jobs:
            raise NotFoundError(
                f"There is no {self._kind} task",
                expected="a task that runs" if running else "a task that was submitted",
                got="none",
                action="submit one",
            )
        if all and not running:
            return [self._task(job) for job in jobs]
        return self._task(jobs[-1])

    async def submit(self, job: Job, *, wait: bool, enqueue: bool) -> Task:
        """Queue a job.

        Args:
            job: of this kind.
            wait: answer when it has ended.
            enqueue: queue it behind another of its kind; otherwise that is refused, as MONAI Label does.

        Raises:
            BusyError: when one is there already and `enqueue` is not set.
        """
        submitted = await run_in_threadpool(
            self._submit, job, instead=lambda other: not enqueue and other.work.kind in self._kinds
        )
        if submitted.id != job.id:
            raise BusyError(
                f"A {self._kind} task is there already",
                expected="none that waits or runs",
                got="one",
                action="wait until it is done, stop it, or set enqueue=true",
            )
        if wait:
            async for current in follow(self._queue, job.id):
                submitted = current
        return self._task(submitted)

    def stop(self) -> Task | None:
        """Cancel the task that runs, or else the one that waits."""
        jobs = sorted((job for job in self._jobs() if not job.final), key=lambda job: job.state != "running")
        if not jobs:
            return None
        self._queue.cancel(jobs[0].id)
        return self._task(self._queue.wait(jobs[0].id, 10.0))

    def _jobs(self) -> list[Job]:
        return [job for job in self._queue.jobs() if job.work.kind in self._kinds]

    def _task(self, job: Job) -> Task:
        document = self._queue.document(job)
        details = [f"{document['stage']}: {document['fraction']:.0%}"]
        details += [f"{s['image']}: {s['state']}" for s in document["studies"]]
        if job.progress is not None and job.progress.note:
            details.append(job.progress.note)
        if job.error is not None:
            details.append(str(job.error["detail"]))
        return Task(
            id=job.id,
            status=_WORDS[job.state],
            request=job.work.describe(),
            start_ts=_stamp(job.started or job.created),
            end_ts=None if job.finished is None else _stamp(job.finished),
            details=details[-20:],
        )


def _stamp(moment: datetime) -> str:
    """Local time, as MONAI Label writes it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
