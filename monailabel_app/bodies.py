"""Bounds and checks bodies that carry no volume: they are read whole, and never beyond a limit."""

from __future__ import annotations

import re
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medgan_core.errors import MedganError
from monailabel_app.client_json import read_json
from monailabel_app.problems import TooLargeError, problem_response

LIMIT = 1 << 20
# These receive forms in pieces, and bound them themselves (`api.uploads`).
_UPLOADS = re.compile(r"/(jobs|infer/[^/]*|session/?|datastore/(image|label)?)")


class SmallBodies:
    """Refuses bodies over 1 MiB where no volume is expected, and JSON that cannot be sent on.

    Args:
        app: sees requests with a body of at most the limit, or to an address that takes uploads.
        limit: in bytes.
    """

    def __init__(self, app: ASGIApp, limit: int = LIMIT) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body, or answer 413 or 422."""
        if scope["type"] != "http" or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
            if body is None:
                return
            _check(scope, body)
        except MedganError as error:
            await problem_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, _Replay(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; None when the client has gone.

        Raises:
            TooLargeError: when it is larger than the limit, as soon as that is known.
        """
        told = Headers(scope=scope).get("content-length", "0")
        if told.isdecimal() and int(told) > self._limit:
            raise _too_large(self._limit)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise _too_large(self._limit)
            if not message.get("more_body"):
                return bytes(body)


def _check(scope: Scope, body: bytes) -> None:
    """Refuse JSON that cannot be sent on; forms, and what is no JSON, are for those who read them."""
    if body and "form" not in Headers(scope=scope).get("content-type", ""):
        with suppress(ValueError, RecursionError):
            read_json(body)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        "The request's body is too large",
        expected=f"at most {limit:,} bytes where no volume is expected",
        got="more",
        action="send volumes as forms, as docs/rest.md shows",
    )


def _is_upload(scope: Scope) -> bool:
    form = Headers(scope=scope).get("content-type", "").startswith("multipart/form-data")
    return form and scope["method"] in ("POST", "PUT") and _UPLOADS.fullmatch(scope["path"]) is not None


class _Replay:
    """Gives the body that was read already, then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._first: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        message, self._first = self._first, None
        return message if message is not None else await self._receive()
