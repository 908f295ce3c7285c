"""Which host names and web pages a request may come from."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from monailabel_app.problems import HostRefusedError


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and loopback addresses (``127.0.0.0/8``, ``::1``), brackets allowed."""
    host = host.strip("[]").lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_local(headers: Headers) -> None:
    """Refuse a request that came under a foreign host name.

    Listening on loopback does not keep web pages out: a browser on this machine sends requests anywhere, and
    a name that a page's owner controls may point to 127.0.0.1 (DNS rebinding).

    Raises:
        HostRefusedError: for any host name but this machine's.
    """
    named = headers.get("host", "")
    if not is_loopback(_host(f"//{named}")):
        raise _refused("the host name 127.0.0.1 or localhost", f"host {named!r}")


def require_own_page(headers: Headers, origins: Collection[str]) -> None:
    """Refuse a request that a foreign web page sent.

    Args:
        headers: of the request.
        origins: pages that are welcome, as ``https://host[:port]``.

    Raises:
        HostRefusedError: for a page that neither is this server's own nor listed.
    """
    origin = headers.get("origin")
    if origin is None or origin in origins:
        return
    if origin.partition("://")[2] != headers.get("host"):
        raise _refused("no web page, or one that --cors-origin names", f"origin {origin!r}")


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # Brackets that do not match.
        return ""


def _refused(expected: str, got: str) -> HostRefusedError:
    return HostRefusedError(
        "The server does not answer this host name or web page",
        expected=expected,
        got=got[:200],
        action="use the address that `medgan serve` printed",
    )
