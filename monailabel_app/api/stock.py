"""MONAI Label's own endpoints on this server: the same addresses, off the event loop, with confined names."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from fastapi.routing import APIRoute
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    logs,
    model,
    scoring,
    session,
    train,
)
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from medgan_core.errors import MedganError
from monailabel_app.problems import NotFoundError, UnknownImageError, problem
from monailabel_app.studies import is_plain

# Not offered: /infer (there is an own one), whole-slide inference, the DICOMweb proxy and OHIF.
_MODULES = (info, model, batch_infer, train, activelearning, scoring, datastore, logs, session)
_NAMES = {"image", "id", "label", "tag"}


def add_stock_endpoints(app: FastAPI) -> None:
    """Add MONAI Label's endpoints to the app.

    They are ``async`` functions around synchronous code, which stops the whole server while one works; here
    each runs in a thread.
    """
    for module in _MODULES:
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                app.add_api_route(
                    route.path,
                    _threaded(route.endpoint),
                    methods=sorted(route.methods or ()),
                    summary=route.summary,
                    tags=route.tags,
                    include_in_schema=route.include_in_schema,
                    deprecated=route.deprecated,
                )


def _threaded(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function (which FastAPI runs in a thread) around an endpoint."""
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(endpoint(*args, **kwargs))

    # `wraps` keeps the signature, but also leaves a trace that makes it look asynchronous.
    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    del run.__wrapped__
    return run


class ConfinedNames:
    """Refuses paths and ids that climb out of the folder they are looked up in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 404."""
        if scope["type"] == "http":
            error = _climbing(scope["path"], scope["query_string"].decode("latin-1"))
            if error is not None:
                answer = JSONResponse(problem(error), 404, media_type="application/problem+json")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _climbing(path: str, query: str) -> MedganError | None:
    if ".." in path.replace("\\", "/").split("/"):
        return NotFoundError(
            "There is no such address",
            expected="an address without '..'",
            got=path[:200],
            action="correct it",
        )
    for key, value in parse_qsl(query):
        if key in _NAMES and value and not is_plain(value):
            return UnknownImageError(
                "The name leads out of the server's store",
                expected="an id that GET /datastore/?output=all lists",
                got=value[:200],
                action="use the id alone",
            )
    return None
