"""The ASGI app of `medgan serve`: the job API, and MONAI Label's endpoints beside it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware import Middleware
from fastapi.responses import JSONResponse
from monailabel.config import settings
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelException,
)
from monailabel.interfaces.utils.app import app_instance
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from medgan_core import __version__
from medgan_core.errors import MedganError, UsageError
from monailabel_app.access import LocalOnly
from monailabel_app.api import infer, jobs, models
from monailabel_app.api.infer import JobError
from monailabel_app.api.stock import ConfinedNames, add_stock_endpoints
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Results, Work
from monailabel_app.problems import MethodError, NotFoundError, UnknownImageError, foreseen, problem
from monailabel_app.service import Service

logger = logging.getLogger(__name__)
PROBLEM_JSON = "application/problem+json"


def create_app(service: Service) -> FastAPI:
    """The server's app; workers and MONAI Label's app start and end with it.

    Args:
        service: closed when the app ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(service.start, _load_monailabel(service))
            yield
        finally:
            await run_in_threadpool(service.close)

    app = FastAPI(
        title="MedGAN",
        version=__version__,
        description="Deep generative models for medical volumes. Jobs are described in docs/rest.md.",
        lifespan=lifespan,
        middleware=[Middleware(LocalOnly), Middleware(ConfinedNames)],
    )
    app.state.service = service
    for part in (models, jobs, infer):
        app.include_router(part.router)
    add_stock_endpoints(app)
    _handle_errors(app)
    return app


def _load_monailabel(service: Service) -> Any:
    """MONAI Label's app, in a folder of its own (it wants to write logs beside ``main.py``)."""
    folder = service.private / "app"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("main.py"), folder)
    settings.MONAI_LABEL_APP_DIR = str(folder)
    settings.MONAI_LABEL_STUDIES = service.options.studies
    log = logging.FileHandler(folder / "logs" / "app.log", encoding="utf-8")
    log.setFormatter(logging.Formatter("[%(asctime)s] [%(levelname)s] (%(name)s) - %(message)s"))
    logging.getLogger().addHandler(log)
    app = app_instance()
    app.runner = _QueueRunner(service)
    app.server_mode(True)
    app.on_init_complete()
    return app


class _QueueRunner:
    """Has the work of MONAI Label's tasks done by the queue, and waits for it in the caller's thread."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(self, work: Work, folder: Path) -> Results:
        job_id, place = self._service.place()
        queue = self._service.queue
        queue.submit(Job(id=job_id, work=work, folder=place))
        try:
            job = queue.wait(job_id)
            if job.state != "done":
                raise JobError(job.error or {"detail": f"the job is {job.state}"})
            shutil.copytree(place / "results", folder, dirs_exist_ok=True)
            return Results(job.results, job.verdict or "not assessed")
        finally:
            queue.remove(job_id)


def _handle_errors(app: FastAPI) -> None:
    """Every error becomes a problem document."""

    def answer(error: MedganError) -> JSONResponse:
        document = problem(error)
        return JSONResponse(document, document["status"], media_type=PROBLEM_JSON)

    @app.exception_handler(MedganError)
    async def ours(_: Request, error: MedganError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(JobError)
    async def of_job(_: Request, error: JobError) -> JSONResponse:
        return JSONResponse(error.document, error.document.get("status", 500), media_type=PROBLEM_JSON)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        got = repr(first.get("input"))[:200]
        return answer(
            UsageError(
                f"The request is not valid at {where}",
                expected=first["msg"],
                got=got,
                action="correct the request; GET /openapi.json describes it",
            )
        )

    @app.exception_handler(MONAILabelException)
    async def monailabel(_: Request, error: Any) -> JSONResponse:
        if isinstance(error, ImageNotFoundException | LabelNotFoundException):
            return answer(UnknownImageError(str(error.msg)))
        return answer(UsageError(str(error.msg)[:300]))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kinds = {404: NotFoundError, 405: MethodError}
        text = f"There is no address {request.url.path}" if error.detail == "Not Found" else str(error.detail)
        document = problem(kinds.get(error.status_code, UsageError)(text))
        document["status"] = error.status_code
        return JSONResponse(document, error.status_code, headers=error.headers, media_type=PROBLEM_JSON)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return answer(foreseen(error))
