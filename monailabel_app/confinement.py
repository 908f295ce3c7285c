"""Names and paths in addresses lead nowhere but into the stores they name, and answers tell no folders."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from medgan_core.errors import MedganError, UsageError
from monailabel_app.problems import NotFoundError, UnknownImageError, problem_response
from monailabel_app.studies import is_plain

_NAMES = {"image", "id", "label", "tag", "session_id", "user"}
_LONGEST = 255
_MOST_FIELDS = 64


class ConfinedNames:
    """Refuses paths and ids that climb out of the folder they are looked up in.

    Args:
        app: sees only requests whose names are plain.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 404."""
        if scope["type"] == "http":
            error = _climbing(scope["path"], scope["query_string"].decode("latin-1"))
            if error is not None:
                await problem_response(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def without_folders(value: Any, folders: Collection[Path]) -> Any:
    """A JSON value in which paths inside of the folders have lost them: a client learns names, not places."""
    if isinstance(value, dict):
        return {key: without_folders(item, folders) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item, folders) for item in value]
    if isinstance(value, str) and os.path.isabs(value):
        for folder in folders:
            if Path(value).is_relative_to(folder):
                return Path(value).relative_to(folder).as_posix()
    return value


def _climbing(path: str, query: str) -> MedganError | None:
    if ".." in path.replace("\\", "/").split("/") or not path.isprintable():
        return NotFoundError(
            "There is no such address",
            expected="an address of printable characters, without '..'",
            got=ascii(path)[:200],
            action="correct it",
        )
    try:
        fields = parse_qsl(query, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return UsageError(
            "The address has too many parameters",
            expected=f"at most {_MOST_FIELDS}",
            got="more",
            action="see GET /openapi.json",
        )
    for key, value in fields:
        if (
            key in _NAMES
            and value
            and not (is_plain(value) and value.isprintable() and len(value) <= _LONGEST)
        ):
            return UnknownImageError(
                "This cannot be a name in the server's store",
                expected="an id that GET /datastore/?output=all lists",
                got=ascii(value)[:200],
                action="use the id alone",
            )
    return None
