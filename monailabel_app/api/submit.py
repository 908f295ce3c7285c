"""Submitting jobs: once, again under the same key, and after an interruption."""

from __future__ import annotations

import hashlib
import re
import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.access import Client, client_of
from monailabel_app.api.receiving import room
from monailabel_app.api.schemas import PROBLEMS, JobDocument, JobRequest
from monailabel_app.api.uploads import Form, receive_form
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.run import Run
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["Jobs"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="the client's own name for this request (1 to 255 visible ASCII characters): "
        "sent again with the same key, it makes no second job",
    ),
]
_KEY = re.compile(r"[!-~]{1,255}")
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
_KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": JobDocument, "description": "the job that was submitted under this key before"}
}


@router.post(
    "",
    status_code=202,
    response_model=JobDocument,
    responses=_KNOWN,
    openapi_extra=_FORM,
    summary="Submit a job",
)
async def submit(
    request: Request, response: Response, service: Served, client: Asker, key: Key = None
) -> dict[str, Any]:
    """Queue a run of a model over uploaded and stored volumes."""
    job_id, folder = service.place()

    def early(name: str, text: str) -> None:
        # Refuse a wrong model before its volumes are received.
        if name == "request":
            service.card(JobRequest.read(text).model)

    try:
        if key is not None and not _KEY.fullmatch(key):
            raise _bad_key(key)
        async with room(request, service):
            form = await receive_form(
                request, folder / "inputs", limit=service.options.upload_limit, on_text=early
            )
        run = await run_in_threadpool(_run, service, form)
        digest = "" if key is None else await run_in_threadpool(_digest, form)
        asked = Job(id=job_id, work=run, folder=folder, client=client.identity, key=key, digest=digest)
        job = await run_in_threadpool(service.submit, asked)
    except BaseException:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        raise
    if job.id != job_id:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        response.status_code = 200
    response.headers["Location"] = f"/jobs/{job.id}"
    return service.queue.document(job)


@router.post(
    "/{job_id}/resubmit",
    status_code=202,
    response_model=JobDocument,
    summary="Queue an interrupted job again",
)
def resubmit(job_id: str, service: Served) -> dict[str, Any]:
    """Queue a job that an end of the server interrupted: the same job, with the volumes it came with."""
    return service.queue.document(service.queue.resubmit(job_id))


def _run(service: Service, form: Form) -> Run:
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
    return Run(
        model=asked.model,
        inputs=paths,
        target=asked.target,
        seed=asked.seed,
        count=asked.count,
        settings=asked.settings,
    )


def _digest(form: Form) -> str:
    """A hash of all that was asked: the request's meaning and the bytes of its volumes."""
    digest = hashlib.sha256(JobRequest.read(form.texts["request"]).model_dump_json().encode())
    for key, path in sorted(form.files.items()):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"\n{key} {path.name} {content}".encode())
    return digest.hexdigest()


def _bad_key(key: str) -> UsageError:
    return UsageError(
        "The idempotency key cannot be used",
        expected="1 to 255 visible ASCII characters without spaces",
        got=ascii(key)[:80] or "nothing",
        action="take a UUID, for example",
    )
