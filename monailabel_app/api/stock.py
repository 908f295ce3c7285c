"""MONAI Label's own endpoints on this server: the same addresses, off the event loop, without folders."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    scoring,
    session,
    train,
)
from starlette.routing import BaseRoute

from medgan_core.errors import UsageError
from monailabel_app.confinement import without_folders

# Not offered: /infer, /auth and /logs (there are own ones), /model (models are published, not exchanged as
# files), whole-slide inference, the DICOMweb proxy and OHIF.
_MODULES = (info, batch_infer, train, activelearning, scoring, datastore, session)


def add_stock_endpoints(app: FastAPI, own: Iterable[APIRouter], folders: Collection[Path]) -> None:
    """Add MONAI Label's endpoints to the app, save those that it has already.

    They are ``async`` functions around synchronous code, which stops the whole server while one works; here
    each runs in a thread.

    Args:
        app: of the server.
        own: routers whose addresses stand in the place of MONAI Label's.
        folders: are cut off paths before a client sees them.
    """
    taken = {place for router in own for route in router.routes for place in _places(route)}
    for module in _MODULES:
        for route in module.router.routes:
            if isinstance(route, APIRoute) and not taken & _places(route):
                app.add_api_route(
                    route.path,
                    _threaded(route.endpoint, folders),
                    methods=sorted(route.methods or ()),
                    summary=route.summary,
                    tags=route.tags,
                    include_in_schema=route.include_in_schema,
                    deprecated=route.deprecated,
                )


def _places(route: BaseRoute) -> set[tuple[str, str]]:
    """Method and address of a route."""
    return {(method, route.path) for method in route.methods or ()} if isinstance(route, APIRoute) else set()


def _threaded(endpoint: Callable[..., Any], folders: Collection[Path]) -> Callable[..., Any]:
    """A plain function (which FastAPI runs in a thread) around an endpoint."""
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return without_folders(asyncio.run(endpoint(*args, **kwargs)), folders)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UsageError(
                "A field of the request is not valid",
                expected="a JSON object",
                got=type(error).__name__,
                action="correct the field",
            ) from error

    # `wraps` keeps the signature, but also leaves a trace that makes it look asynchronous.
    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    del run.__wrapped__
    return run
