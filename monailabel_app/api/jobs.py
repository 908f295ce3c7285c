"""The job API: look, watch, cancel, fetch, delete."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from medgan_core.errors import CancelledError
from monailabel_app.api.results import Encoding, Kind, report_response, volume_response
from monailabel_app.api.schemas import PROBLEMS, JobDocument, JobList
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["Jobs"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
_KEEP_ALIVE_S = 10.0


@router.get("", response_model=JobList, summary="All jobs")
async def jobs(service: Served) -> dict[str, Any]:
    """Every job that was neither deleted nor has expired, oldest first."""
    return {"jobs": service.queue.documents(service.queue.jobs())}


@router.get("/{job_id}", response_model=JobDocument, summary="One job")
async def state(job_id: str, service: Served) -> dict[str, Any]:
    """State, place in the queue, progress, remaining time, results, error."""
    return service.queue.document(service.queue.get(job_id))


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "a job document at every change"}},
    summary="Watch a job",
)
async def events(job_id: str, service: Served) -> StreamingResponse:
    """Server-sent events: the job's state as event, the job document as data; ends with the job."""
    service.queue.get(job_id)
    return StreamingResponse(
        _events(service.queue, job_id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _events(queue: JobQueue, job_id: str) -> AsyncIterator[str]:
    before: Job | None = None
    try:
        async for job in follow(queue, job_id):
            if job is before:
                yield ": still here\n\n"
            else:
                yield _event(queue.document(job))
            before = job
    except NotFoundError:
        if before is not None and not before.final:
            yield _event({**queue.document(before), "state": "cancelled", "stage": "cancelled"})


def _event(document: dict[str, Any]) -> str:
    return f"event: {document['state']}\ndata: {json.dumps(document)}\n\n"


async def follow(queue: JobQueue, job_id: str) -> AsyncIterator[Job]:
    """The job now, then at every change (and unchanged every ten seconds) until it is final.

    Raises:
        NotFoundError: when there is no such job, or it is removed meanwhile.
    """
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def alert() -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody listens any more.
            loop.call_soon_threadsafe(changed.set)

    end = queue.watch(job_id, alert)
    try:
        while True:
            changed.clear()
            job = queue.get(job_id)
            yield job
            if job.final:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _KEEP_ALIVE_S)
    finally:
        end()


class JobError(Exception):
    """A job failed; carries its problem document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document["detail"])
        self.document = dict(document)


async def finished(queue: JobQueue, request: Request, job_id: str) -> Job:
    """The job when it is done; no thread waits for it.

    Raises:
        CancelledError: when it was cancelled or removed, or the client of the request has gone.
        JobError: when it failed, or the server ends.
    """
    try:
        async for job in follow(queue, job_id):
            if await request.is_disconnected():
                raise CancelledError("The client has gone")
            if job.final:
                break
    except NotFoundError as error:
        raise CancelledError() from error
    return done(job)


def done(job: Job) -> Job:
    """The job itself, when it has ended well.

    Raises:
        CancelledError: when it was cancelled.
        JobError: when it failed, or was interrupted.
    """
    if job.state == "cancelled":
        raise CancelledError()
    if job.error is not None:
        raise JobError(job.error)
    return job


@router.post("/{job_id}/cancel", response_model=JobDocument, summary="Cancel a job")
def cancel(job_id: str, service: Served) -> dict[str, Any]:
    """Stop a waiting or running job and keep its record; a final one is left as it is."""
    service.queue.cancel(job_id)
    return service.queue.document(service.queue.wait(job_id, 10.0))


@router.delete("/{job_id}", status_code=204, summary="Delete a job")
def remove(job_id: str, service: Served) -> None:
    """Stop the job if need be, then remove it and its files."""
    service.queue.remove(job_id)


@router.get(
    "/{job_id}/results/{key:path}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "the volume"}},
    summary="A result",
)
def result(
    job_id: str, key: str, service: Served, format: Kind = "nii", encoding: Encoding = "identity"
) -> Response:
    """A volume: NIfTI or NRRD as it is, compressed for the transfer when asked, or gzip-compressed NIfTI."""
    return volume_response(service.queue.get(job_id), key, format, encoding)


@router.get("/{job_id}/report", summary="The report")
def report(job_id: str, service: Served, study: str = "") -> Response:
    """Verdict, rows and provenance of a run; of a batch, or of one study (its image's id) of it."""
    return report_response(service.queue.get(job_id), study)
