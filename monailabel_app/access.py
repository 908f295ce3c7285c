"""Who may talk to the server: for now, programs on this machine alone."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from monailabel_app.problems import HostRefusedError, problem


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and loopback addresses (``127.0.0.0/8``, ``::1``), brackets allowed."""
    host = host.strip("[]").lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(host: str) -> None:
    """Refuse to listen anywhere but on this machine.

    Raises:
        HostRefusedError: for any other address.
    """
    if not is_loopback(host):
        raise HostRefusedError(
            "The server listens on this machine only",
            expected="127.0.0.1, ::1 or localhost",
            got=host,
            action="use --host 127.0.0.1; other addresses come with access control (tokens and TLS). "
            "Until then reach it from elsewhere through an SSH tunnel",
        )


class LocalOnly:
    """Refuses requests that a foreign web page sent, or that came under a foreign host name.

    Listening on loopback does not keep web pages out: a browser on this machine sends requests anywhere, and
    a name that a page's owner controls may point to 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host = urlsplit(f"//{headers.get('host', '')}")
            origin = headers.get("origin")
            wrong = ""
            if not is_loopback(host.hostname or ""):
                wrong = f"host {headers.get('host', '')!r}"
            elif origin is not None and urlsplit(origin).netloc != headers["host"]:
                wrong = f"origin {origin!r}"
            if wrong:
                await _refuse(wrong)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refuse(wrong: str) -> JSONResponse:
    error = HostRefusedError(
        "The server answers programs on this machine only",
        expected="the host name 127.0.0.1 or localhost, and no foreign web page",
        got=wrong[:200],
        action="use the address that `medgan serve` printed",
    )
    return JSONResponse(problem(error), 403, media_type="application/problem+json")
