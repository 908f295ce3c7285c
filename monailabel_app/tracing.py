"""Follows every request from its first byte to its last: an id, a safe end, and a word to whoever listens."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medgan_core.errors import UsageError
from monailabel_app.access import Client
from monailabel_app.problems import PROBLEM_JSON, foreseen, problem_response

logger = logging.getLogger(__name__)
_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
_current: ContextVar[str] = ContextVar("request_id", default="-")
GONE = 499
"""Status of a request whose client left before the answer, as nginx counts it."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and what became of it.

    Args:
        request_id: given by the client or made here.
        method: of HTTP.
        path: as asked; may hold names of images, so it is not for logs.
        query: as asked, likewise.
        route: the address's template (``/jobs/{job_id}``), or "" for an unknown address.
        status: of the answer.
        problem: code of the problem document, or "".
        location: of what the request made (``/jobs/...``), or "".
        client: who asked; None when refused before that was known.
        received: bytes of the request's body.
        sent: bytes of the answer's body.
        seconds: from the first byte of the request to the last of the answer.
    """

    request_id: str
    method: str
    path: str
    query: bytes
    route: str
    status: int
    problem: str
    location: str
    client: Client | None
    received: int
    sent: int
    seconds: float


class RequestTrace:
    """Gives each request an id, answers for what did not, and tells the listeners how each ended.

    Args:
        app: everything else.
        listeners: called after every request; must not block.
    """

    def __init__(self, app: ASGIApp, listeners: Sequence[Callable[[Exchange], None]] = ()) -> None:
        self._app, self._listeners = app, tuple(listeners)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and wait for its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = _Trace(scope, receive, send)
        token = _current.set(trace.request_id)
        try:
            await self._answered(trace)
        finally:
            exchange = trace.exchange()
            if exchange.problem or exchange.status >= 500:
                logger.warning(
                    "%s %s: %d %s",
                    exchange.method,
                    exchange.route or "(no such address)",
                    exchange.status,
                    exchange.problem,
                )
            for listener in self._listeners:
                listener(exchange)
            _current.reset(token)

    async def _answered(self, trace: _Trace) -> None:
        try:
            await self._app(trace.scope, trace.receive, trace.send)
        except ClientDisconnect:
            trace.status = GONE
        except Exception as error:
            logger.exception("an error nobody foresaw")
            if trace.status:
                raise  # Half an answer is sent; the connection is closed.
            await problem_response(foreseen(error), trace.scope)(trace.scope, trace.receive, trace.send)


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to log records: of the request that is being answered, or ``-``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        record.request_id = _current.get()
        return True


class _Trace:
    """One request under way; counts what comes and goes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        self.scope, self._receive, self._send = scope, receive, send
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.state["request_id"] = self.request_id
        self.status, self._location, self._replaced = 0, "", False
        self._received = self._sent = 0
        self._start = time.monotonic()

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._speechless(message):
            # Its body is left out, and this one takes its place.
            self._replaced = True
            phrase = HTTPStatus(message["status"]).phrase
            error = UsageError(phrase, action="see GET /openapi.json for what the server offers")
            answer = problem_response(error, self.scope, status=message["status"])
            await answer(self.scope, self._receive, self._pass_on)
        elif not self._replaced:
            await self._pass_on(message)

    def _speechless(self, message: Message) -> bool:
        """True for an error that is no problem document, as libraries answer."""
        kind = Headers(raw=message.get("headers", [])).get("content-type", "")
        return message["status"] >= 400 and kind != PROBLEM_JSON

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            self._location = headers.get("location", "")
            headers["X-Request-ID"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            # Answers hold patients' data; nothing between here and the client may keep them.
            headers.setdefault("Cache-Control", "no-store")
        self._sent += len(message.get("body", b""))
        await self._send(message)

    def exchange(self) -> Exchange:
        return Exchange(
            request_id=self.request_id,
            method=self.scope["method"],
            path=self.scope["path"],
            query=self.scope["query_string"],
            route=getattr(self.scope.get("route"), "path", ""),
            status=self.status or GONE,
            problem=self.state.get("problem", ""),
            location=self._location,
            client=self.state.get("client"),
            received=self._received,
            sent=self._sent,
            seconds=time.monotonic() - self._start,
        )
