"""Is the server alive, can it work, and how busy is it?"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from medgan_core import __version__
from monailabel_app.access import Client, client_of
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.jobs.job import STATES
from monailabel_app.metrics import Metrics
from monailabel_app.problems import UnreadyError
from monailabel_app.service import Service, service_of

router = APIRouter(tags=["Health"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]


class Health(BaseModel):
    """That the server lives, and to whoever may read, what it is doing."""

    status: str
    version: str | None = None
    workers: list[dict[str, Any]] = []
    jobs: dict[str, int] = {}


class Ready(BaseModel):
    """That the server can work."""

    status: str


@router.get("/health", response_model=Health, summary="Is the server alive?")
async def health(service: Served, client: Asker) -> dict[str, Any]:
    """Alive; whoever may read is also told the version, what each worker does, and the jobs by state."""
    if not client.known:
        return {"status": "ok"}
    counts = Counter(job.state for job in service.queue.jobs())
    return {
        "status": "ok",
        "version": __version__,
        "workers": service.queue.status(),
        "jobs": {state: counts[state] for state in STATES},
    }


@router.get("/ready", response_model=Ready, summary="Can the server work?")
def ready(service: Served) -> dict[str, str]:
    """A worker is ready, its folders can be written, and there is a model; else 503 says what is missing."""
    missing = list(_missing(service))
    if missing:
        raise UnreadyError(
            "The server cannot work yet",
            expected="a worker, folders that can be written, and a model",
            got="; ".join(missing),
            action="wait a moment; if it persists, see the server's log",
        )
    return {"status": "ready"}


@router.get("/metrics", response_class=Response, summary="Figures for Prometheus")
def metrics(request: Request) -> Response:
    """Jobs by state, queue length, durations, bytes, refused requests."""
    figures: Metrics = request.app.state.metrics
    return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)


def _missing(service: Service) -> Iterator[str]:
    if not any(worker["state"] in ("idle", "busy") for worker in service.queue.status()):
        yield "no worker is ready"
    if not service.queue.alive:
        yield "a thread of the queue has ended, start the server again"
    folders = {"the folder of jobs": service.private}
    if service.studies is not None:
        folders["the studies folder"] = service.studies
    for name, folder in folders.items():
        if not _writable(folder):
            yield f"{name} cannot be written"
    if not service.cards()[0]:
        yield "no model is installed"


def _writable(folder: Path) -> bool:
    try:
        # A hidden name: the store does not take it for an image.
        number, path = tempfile.mkstemp(prefix=".ready-", dir=folder)
        os.close(number)
        os.unlink(path)
    except OSError:
        return False
    return True
