"""How a server may be reached, decided before it starts."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from medgan_core.errors import UsageError
from monailabel_app.access.hosts import is_loopback
from monailabel_app.access.oidc import Oidc
from monailabel_app.access.tokens import Tokens
from monailabel_app.problems import HostRefusedError

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,255}")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where a server listens and whom it believes.

    Args:
        host: address to listen on.
        tokens: clients by token; with none and no `oidc` every program on this machine may do everything.
        oidc: clients by an identity provider.
        tls_cert: file with the server's certificate (PEM, with its chain).
        tls_key: file with its private key.
        tls_proxy: address of the proxy that does TLS; only it (and this machine) may connect then.
        origins: web pages of other servers that may use this one (CORS), as ``https://host[:port]``.
    """

    host: str = "127.0.0.1"
    tokens: Tokens = field(default_factory=Tokens)
    oidc: Oidc | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_proxy: str | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would not be safe.

        Raises:
            HostRefusedError: for a public address without tokens or without TLS.
            UsageError: for a setting that is wrong in itself.
        """
        if os.environ.get("MONAI_LABEL_AUTH_ENABLE", "").lower() in ("1", "true", "yes", "on"):
            raise UsageError(
                "MONAI Label's own sign-in does not work: it checks tokens without naming algorithms",
                expected="clients by --token-file or --oidc-issuer",
                got="MONAI_LABEL_AUTH_ENABLE in the environment",
                action="take it out of the environment, and use --oidc-issuer and --oidc-audience",
            )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise UsageError(
                    "The origin is not one",
                    expected="https://host or https://host:port, without a path; '*' is not taken",
                    got=origin[:200],
                    action="list each page's origin with --cors-origin",
                )
        if self.tls_proxy is not None:
            _require_address(self.tls_proxy)
        self._check_certificate()
        if not is_loopback(self.host):
            self._require_protection()

    @property
    def asks(self) -> bool:
        """True when a client must say who it is."""
        return len(self.tokens) > 0 or self.oidc is not None

    @property
    def scheme(self) -> str:
        """``https`` when the server does TLS itself, else ``http``."""
        return "https" if self.tls_cert else "http"

    def _require_protection(self) -> None:
        missing = []
        if not self.asks:
            missing.append("who may use it (--token-file or --oidc-issuer)")
        if not self.tls_cert and not self.tls_proxy:
            missing.append("TLS (--tls-cert and --tls-key, or --tls-proxy ADDRESS when a proxy does it)")
        if missing:
            raise HostRefusedError(
                "The server would be reachable by others without protection",
                expected="for an address that is not this machine's own: " + " and ".join(missing),
                got=f"--host {self.host} without",
                action="add what is missing (docs/security.md shows how), or use --host 127.0.0.1 "
                "and reach it through an SSH tunnel",
            )

    def _check_certificate(self) -> None:
        if self.tls_cert is None and self.tls_key is None:
            return
        try:
            if self.tls_cert is None or self.tls_key is None:
                raise OSError("only one of the two")
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key, password="")
        except (OSError, ValueError) as error:
            raise UsageError(
                "TLS cannot be set up",
                expected="a certificate (--tls-cert) and its private key (--tls-key, PEM, without password)",
                got=str(error)[:200],
                action="check both files",
            ) from error


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise UsageError(
            "The proxy is not named by its address",
            expected="an IP address",
            got=text[:200],
            action="use --tls-proxy 10.0.0.5 with the proxy's own address",
        ) from error
