"""Bounds the bodies of requests that carry no volume: they are read whole, and never beyond a limit."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monailabel_app.problems import TooLargeError, problem_response

LIMIT = 1 << 20
# These receive forms in pieces, and bound them themselves (`api.uploads`).
_UPLOADS = re.compile(r"/(jobs|infer/[^/]*|session/?|datastore/(image|label)?)")


class SmallBodies:
    """Refuses bodies over 1 MiB where no volume is expected.

    Args:
        app: sees requests with a body of at most the limit, or to an address that takes uploads.
        limit: in bytes.
    """

    def __init__(self, app: ASGIApp, limit: int = LIMIT) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body, or answer 413."""
        if scope["type"] != "http" or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "0")
        body: bytearray | None = bytearray()
        if told.isdecimal() and int(told) > self._limit:
            body = None
        while body is not None:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > self._limit:
                body = None
            elif not message.get("more_body"):
                break
        if body is None:
            error = TooLargeError(
                "The request's body is too large",
                expected=f"at most {self._limit:,} bytes where no volume is expected",
                got="more",
                action="send volumes as forms, as docs/rest.md shows",
            )
            await problem_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, _Replay(bytes(body), receive), send)


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
