"""What addresses that store something share: a form in a folder that is gone afterwards, and checks."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import MedganError, UsageError
from monailabel_app.api.uploads import Form, drain, receive_form
from monailabel_app.client_json import read_json
from monailabel_app.jobs.files import free_bytes
from monailabel_app.problems import StorageFullError, TooLargeError
from monailabel_app.service import Service

_HEADS = 4 << 20
"""Bytes of a form beside its file: its texts, and the heads of a series' parts."""


@asynccontextmanager
async def room(
    request: Request,
    service: Service,
    *,
    job: bool = True,
    into: Path | None = None,
    most: int | None = None,
) -> AsyncIterator[None]:
    """Keep room for the bytes that a request announces while they come.

    Finished jobs go when the bytes come and the disk lacks room for them, not for what is announced.

    Args:
        request: its body has not been read; `receive_form` reads it.
        service: its folder receives them.
        job: they become a job's, and count towards the quota; else the disk alone bounds them.
        into: a folder into which they go later.
        most: bytes that the address takes at most.

    Raises:
        TooLargeError: when more are announced; what the client sends is taken in for a moment.
        StorageFullError: when they do not fit; likewise.
    """
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else 0
    async with AsyncExitStack() as stack:
        try:
            if most is not None and size > most:
                raise _too_large(size, most)
            if into is not None:
                _require(size, await run_in_threadpool(free_bytes, into))
            kept = contextmanager_in_threadpool(service.queue.room(size, job=job))
            request.state.make_way = await stack.enter_async_context(kept)
        except MedganError:
            await drain(request.stream())
            raise
        yield


@asynccontextmanager
async def received(
    request: Request, service: Service, *, into: Path | None = None, series: str | None = None
) -> AsyncIterator[Form]:
    """The request's form, its files in a folder that is removed when the block ends, however it ends.

    Args:
        request: with a form.
        service: receives it.
        into: where its files go then, if that is known; there is room for them.
        series: see `receive_form`.

    Raises:
        TooLargeError: when more is announced than a file of the largest size takes.
        StorageFullError: when there is no room.
        MedganError, HTTPException: as `receive_form`.
    """
    limit = service.options.upload_limit
    folder = service.private / "received" / uuid.uuid4().hex
    try:
        async with room(request, service, job=False, into=into, most=limit + _HEADS):
            form = await receive_form(request, folder, limit=limit, series=series)
        yield form
    finally:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


def one_file(form: Form, part: str) -> Path:
    """The file (or folder of a series) that came as this part.

    Raises:
        UsageError: when there is none, or there are others.
    """
    if set(form.files) != {part}:
        raise UsageError(
            "The form's files are not those expected",
            expected=f"one file part called {part}",
            got=", ".join(form.files) or "none",
            action="see GET /openapi.json for the form",
        )
    return form.files[part]


def params(form: Form, name: str = "params") -> dict[str, Any]:
    """The JSON object in a text part; empty without one.

    Raises:
        UsageError: when it is not a JSON object, or holds what JSON has no word for.
    """
    try:
        found = read_json(form.texts.get(name) or "{}")
    except (ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        raise UsageError(
            f"The form field {name!r} is not valid",
            expected="a JSON object",
            got=str(found)[:200],
            action="correct the field",
        )
    return found


def checked(name: str, pattern: re.Pattern[str], what: str) -> str:
    """The name itself, if it may become the name of a file.

    Raises:
        UsageError: when it may not.
    """
    if not pattern.fullmatch(name) or len(name.encode("utf-8", "replace")) > 200:
        raise UsageError(
            f"The {what} cannot be used",
            expected="letters, digits and plain signs, at most 128 of them",
            got=ascii(name)[:200],
            action="choose another",
        )
    return name


def _require(size: int, free: int) -> None:
    if size > free:
        raise StorageFullError(
            "The disk of the studies is full",
            expected=f"room for {size / 1e6:,.1f} MB",
            got=f"{free / 1e6:,.1f} MB",
            action="free some room on the server's disk",
        )


def _too_large(size: int, most: int) -> TooLargeError:
    return TooLargeError(
        "The upload is too large",
        expected=f"at most {most / 1e6:,.1f} MB",
        got=f"{size / 1e6:,.1f} MB",
        action="crop or resample the volume, or start the server with a larger --max-upload-mb",
    )
