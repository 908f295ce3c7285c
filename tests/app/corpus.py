"""Requests as bytes, sent as they are: libraries would correct or refuse what is tested here.

The cases are made by `corpus_volumes` (files that are not what they say) and `corpus_requests` (all else).
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BOUNDARY = "a-line-between"


@dataclass(frozen=True)
class Case:
    """One request.

    Args:
        name: unique, says what is wrong.
        method: of HTTP.
        target: path and query, written as they go over the line.
        headers: besides Host, Connection and Content-Length.
        body: of the request.
        refused: False when the request may be taken, as what is odd about it can be handled.
        statuses: what the answer may be, where 4xx is too wide.
        framing: False to leave out Content-Length, as the headers say it.
    """

    name: str
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    refused: bool = True
    statuses: tuple[int, ...] = ()
    framing: bool = True


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(url: str, case: Case, *, timeout_s: float = 60.0) -> Answer:
    """Send the request over a connection of its own and read the answer."""
    place = urlsplit(url)
    head = {"Host": place.netloc, "Connection": "close", **case.headers}
    if case.framing and (case.body or case.method in ("POST", "PUT")):
        head["Content-Length"] = str(len(case.body))
    lines = [f"{case.method} {case.target} HTTP/1.1", *(f"{key}: {value}" for key, value in head.items())]
    raw = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + case.body
    with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout_s) as line:
        # It may be refused before it was all sent; the answer is on its way then.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(raw)
        answer = http.client.HTTPResponse(line, method=case.method)
        answer.begin()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def form(*parts: tuple[str, str | None, bytes], end: str = "--\r\n") -> bytes:
    """A multipart body; each part is a name, a file name or None, and content."""
    body = io.BytesIO()
    for name, filename, content in parts:
        extra = "" if filename is None else f'; filename="{filename}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
        body.write(head.encode("utf-8", "surrogateescape") + content + b"\r\n")
    body.write(f"--{BOUNDARY}{end}".encode())
    return body.getvalue()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}
