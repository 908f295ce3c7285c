"""What addresses that store something share: a form in a folder that is gone afterwards, and checks."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.api.uploads import Form, receive_form
from monailabel_app.service import Service


@asynccontextmanager
async def received(request: Request, service: Service, *, series: str | None = None) -> AsyncIterator[Form]:
    """The request's form, its files in a folder that is removed when the block ends, however it ends.

    Raises:
        MedganError: as `receive_form`.
    """
    folder = service.private / "received" / uuid.uuid4().hex
    try:
        yield await receive_form(request, folder, limit=service.options.upload_limit, series=series)
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
        UsageError: when it is not a JSON object.
    """
    try:
        found = json.loads(form.texts.get(name) or "{}")
    except (json.JSONDecodeError, RecursionError) as error:
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
