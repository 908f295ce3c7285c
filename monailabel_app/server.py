"""The ASGI app of `medgan serve`: the job API, and MONAI Label's endpoints beside it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.concurrency import run_in_threadpool

from medgan_core import __version__
from monailabel_app.access import Access, AccessGuard
from monailabel_app.api import (
    activelearning,
    auth,
    batch,
    cohort,
    curves,
    datastore,
    health,
    infer,
    jobs,
    logs,
    models,
    scoring,
    sessions,
    store,
    submit,
    train,
)
from monailabel_app.api.errors import handle_errors
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.stock import add_stock_endpoints
from monailabel_app.audit import AuditLog
from monailabel_app.bodies import SmallBodies
from monailabel_app.confinement import ConfinedNames
from monailabel_app.job_audit import JobAudit
from monailabel_app.metrics import Metrics
from monailabel_app.service import Service
from monailabel_app.tracing import RequestIdFilter, RequestTrace

_ALLOWED = ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID")
_EXPOSED = ("Location", "X-Request-ID")


def create_app(service: Service, access: Access) -> FastAPI:
    """The server's app; workers and MONAI Label's app start and end with it.

    Args:
        service: closed when the app ends.
        access: who may talk to it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(service.start, _load_monailabel(service))
            yield
        finally:
            await run_in_threadpool(service.close)
            await run_in_threadpool(audit.close)

    metrics, audit = Metrics(service.queue), AuditLog(service.private / "audit")
    service.queue.listeners += [metrics.job, JobAudit(audit, service.registry)]
    app = FastAPI(
        title="MedGAN",
        version=__version__,
        description="Deep generative models for medical volumes. Jobs are described in docs/rest.md.",
        lifespan=lifespan,
        responses=PROBLEMS,
        # From the outside in.
        middleware=[
            Middleware(RequestTrace, listeners=(metrics.exchange, audit.exchange)),
            Middleware(
                CORSMiddleware,
                allow_origins=access.origins,
                allow_methods=("GET", "POST", "PUT", "DELETE"),
                allow_headers=_ALLOWED,
                expose_headers=_EXPOSED,
            ),
            Middleware(AccessGuard, access=access),
            Middleware(SmallBodies),
            Middleware(ConfinedNames),
        ],
    )
    app.state.service, app.state.access, app.state.metrics = service, access, metrics
    parts = (activelearning, batch, train, scoring, datastore, sessions, logs)
    own = tuple(part.router for part in parts)
    routers = [part.router for part in (health, auth, models, submit, jobs, cohort, curves, store, infer)]
    for router in (*routers, *own):
        app.include_router(router)
    add_stock_endpoints(app, own, _folders(service))
    handle_errors(app)
    return app


def _folders(service: Service) -> list[Path]:
    """Folders of which clients learn nothing."""
    stores = [] if service.studies is None else [service.studies]
    return [*stores, service.private, *service.options.models]


def _load_monailabel(service: Service) -> Any:
    """MONAI Label's app, in a folder of its own (it wants to write logs beside ``main.py``)."""
    folder = service.private / "app"
    service.log.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("main.py"), folder)
    settings.MONAI_LABEL_APP_DIR = str(folder)
    settings.MONAI_LABEL_STUDIES = service.options.studies
    log = RotatingFileHandler(service.log, maxBytes=10 << 20, backupCount=5, encoding="utf-8")
    log.addFilter(RequestIdFilter())
    form = "[%(asctime)s] [%(request_id)s] [%(levelname)s] (%(name)s) - %(message)s"
    log.setFormatter(logging.Formatter(form))
    logging.getLogger().addHandler(log)
    app = app_instance()
    app.server_mode(True)
    app.on_init_complete()
    return app
