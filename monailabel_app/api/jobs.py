"""The job API: submit, watch, cancel, fetch, delete."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.api.results import report_response, volume_response
from monailabel_app.api.schemas import PROBLEMS, JobDocument, JobList, JobRequest
from monailabel_app.api.uploads import Form, receive_form
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.work import Work
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["Jobs"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
_KEEP_ALIVE_S = 10.0
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["request"],
                    "properties": {"request": JobRequest.model_json_schema()},
                    "additionalProperties": {
                        "type": "string",
                        "format": "binary",
                        "description": "a volume (.nii, .nii.gz, .nrrd, .mha), named by its input key",
                    },
                },
                "encoding": {"request": {"contentType": "application/json"}},
            }
        },
    }
}


@router.post("", status_code=202, response_model=JobDocument, openapi_extra=_FORM, summary="Submit a job")
async def submit(request: Request, response: Response, service: Served) -> dict[str, Any]:
    """Queue a run of a model over uploaded and stored volumes."""
    job_id, folder = service.place()

    def early(name: str, text: str) -> None:
        # Refuse a wrong model before its volumes are received.
        if name == "request":
            service.card(JobRequest.read(text).model)

    try:
        form = await receive_form(
            request, folder / "inputs", limit=service.options.upload_limit, on_text=early
        )
        work = await run_in_threadpool(_work, service, form)
        job = await run_in_threadpool(service.submit, job_id, folder, work)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    response.headers["Location"] = f"/jobs/{job_id}"
    return service.queue.document(job)


def _work(service: Service, form: Form) -> Work:
    if set(form.texts) != {"request"}:
        raise UsageError(
            "The form's text parts are not those of a job",
            expected="one text part called request; volumes are file parts",
            got=", ".join(form.texts) or "none",
            action="see docs/rest.md for an example",
        )
    asked = JobRequest.read(form.texts["request"])
    if twice := sorted(set(asked.inputs) & set(form.files)):
        raise UsageError(
            "An input was given twice",
            expected="each input either uploaded or named from the datastore",
            got=", ".join(twice),
            action="leave one of them out",
        )
    paths = {key: str(path) for key, path in form.files.items()}
    paths |= {key: str(service.stored(image)) for key, image in asked.inputs.items()}
    return Work(
        model=asked.model,
        inputs=paths,
        target=asked.target,
        seed=asked.seed,
        count=asked.count,
        settings=asked.settings,
    )


@router.get("", response_model=JobList, summary="All jobs")
async def jobs(service: Served) -> dict[str, Any]:
    """Every job that was neither deleted nor has expired, oldest first."""
    return {"jobs": [service.queue.document(job) for job in service.queue.jobs()]}


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
    "/{job_id}/results/{key}",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "the volume"}},
    summary="A result",
)
def result(
    job_id: str,
    key: str,
    service: Served,
    format: Literal["nii", "nii.gz", "nrrd"] = "nii",
) -> Response:
    """A volume: NIfTI or NRRD, uncompressed, or gzip-compressed NIfTI."""
    return volume_response(service.queue.get(job_id), key, format)


@router.get("/{job_id}/report", summary="The report")
def report(job_id: str, service: Served) -> Response:
    """Verdict, rows and provenance of a run."""
    return report_response(service.queue.get(job_id))
