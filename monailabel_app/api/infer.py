"""MONAI Label's ``/infer`` through the queue: same requests and answers, but nothing waits for it."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from monailabel_app.access import Client, client_of
from monailabel_app.api.jobs import finished
from monailabel_app.api.receiving import params
from monailabel_app.api.results import VolumeFile
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.sessions import session_image
from monailabel_app.api.uploads import Form, receive_form
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import REPORT
from monailabel_app.problems import NotFoundError
from monailabel_app.service import Service, service_of
from monailabel_app.stock import StockRequest, answer, read_request

router = APIRouter(prefix="/infer", tags=["Infer"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]
Output = Literal["all", "image", "json"]
_BLOCK = 4 << 20
_FORM = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "params": {"type": "string", "description": "JSON, see docs/rest.md"},
                        "file": {"type": "string", "format": "binary"},
                        "label": {"type": "string", "format": "binary"},
                    },
                }
            }
        }
    }
}


@router.post("/{model}", openapi_extra=_FORM, summary="Run inference (MONAI Label)")
async def infer(
    model: str,
    request: Request,
    service: Served,
    client: Asker,
    image: str = "",
    session_id: str = "",
    output: Output | None = None,
) -> Response:
    """Run a model on a stored image, a session's or an uploaded one, and answer when it is done."""
    job_id, folder = service.place()
    try:
        service.card(model)
        form = await _form(request, folder / "inputs", service.options.upload_limit)
        asked = await run_in_threadpool(_read, service, model, form, image, session_id)
        asked_for = Job(id=job_id, work=asked.work, folder=folder, client=client.identity)
        await run_in_threadpool(service.submit, asked_for)
        job = await finished(service.queue, request, job_id)
        key = asked.choose(job.results)
        report = json.loads((folder / "results" / REPORT).read_text(encoding="utf-8"))
    except BaseException:
        await run_in_threadpool(_discard, service, job_id, folder)
        raise
    told = answer(service.card(model), key, job.results, report)
    path = folder / "results" / job.results[key]
    clean = BackgroundTask(_discard, service, job_id, folder)
    if output == "json":
        return JSONResponse(told, background=clean)
    if output == "image":
        return VolumeFile(path, media_type="application/octet-stream", filename=path.name, background=clean)
    return _multipart(told, path, clean)


async def _form(request: Request, folder: Path, limit: int) -> Form:
    """The form, which a client that sends neither parameters nor a file may leave out."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await receive_form(request, folder, limit=limit)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return Form(texts={key: str(value) for key, value in (await request.form()).items()})
    return Form()


def _read(service: Service, model: str, form: Form, image: str, session_id: str) -> StockRequest:
    path: Path | None = form.files.get("file")
    if session_id:
        path = session_image(service, session_id)
    elif path is None and image:
        path = service.stored(image)
    return read_request(service.card(model), params(form), path, service.stored, form.files.get("label"))


def _discard(service: Service, job_id: str, folder: Path) -> None:
    try:
        service.queue.remove(job_id)
    except NotFoundError:  # It was refused before it became a job.
        shutil.rmtree(folder, ignore_errors=True)


def _multipart(params: Mapping[str, Any], path: Path, clean: BackgroundTask) -> Response:
    """The answer as a form with the parts ``params`` and ``image``, streamed from the file."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(params)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        with path.open("rb") as stream:
            while block := await run_in_threadpool(stream.read, _BLOCK):
                yield block
        yield tail

    length = len(head) + path.stat().st_size + len(tail)
    return StreamingResponse(
        body(),
        media_type=f"multipart/form-data; boundary={boundary}",
        headers={"Content-Length": str(length)},
        background=clean,
    )
