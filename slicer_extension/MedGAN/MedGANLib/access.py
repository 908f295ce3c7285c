"""Where a server is, and what a client needs to be let in: its address, a token, a CA file."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from MedGANLib import errors

DEFAULT_SERVER = "http://127.0.0.1:8000"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, section 2.1


def normalise(address):
    """An address as people type it, as a base URL: scheme added, spaces and trailing slash removed."""
    address = (address or "").strip().rstrip("/")
    return address if "://" in address or not address else "http://" + address


def host_of(server):
    """The host an address names; empty when it names none."""
    try:
        return urlsplit(normalise(server)).hostname or ""
    except ValueError:  # brackets that do not match
        return ""


def is_loopback(server):
    """True when the address is this computer's own."""
    host = host_of(server)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, such as 127.example.org
        return False


def is_encrypted(server):
    """True when the address asks for TLS."""
    return normalise(server).lower().startswith("https://")


@dataclass(frozen=True)
class Access:
    """One server and how to get in.

    Args:
        server: its address, for example ``https://gpu.example.org:8000`` or ``127.0.0.1:8000``.
        token: from the server's administrator; empty for a server that asks for none. Never shown.
        ca_file: PEM file with the authority behind the server's certificate; empty for the well-known ones.
    """

    server: str = DEFAULT_SERVER
    token: str = field(default="", repr=False)
    ca_file: str = ""

    def arguments(self):
        """Options of the client script; the token is not among them, other users see command lines."""
        return ["--server", self.server, *(["--ca-file", self.ca_file] if self.ca_file else [])]

    def check(self):
        """Refuse what cannot work, or would give the token away, before anything is sent.

        Raises:
            errors.NotReachableError: when the address is none, or holds a name or a password.
            errors.UnauthenticatedError: when the token is none.
            errors.InsecureError: when the token would travel unencrypted.
            errors.UntrustedError: when the CA file cannot be used.
        """
        self._check_address()
        if self.token:
            self._check_token()
        if self.ca_file and is_encrypted(self.server):
            self._check_ca_file()

    def _check_address(self):
        address = normalise(self.server)
        if "@" in address:  # it would be kept with the scene and shown in errors
            got, action = "a name or a password in it", "leave them out and use the token's field"
        elif not address.lower().startswith(("http://", "https://")) or not host_of(address):
            got, action = self.server or "nothing", "correct the address"
        else:
            return
        raise errors.NotReachableError(
            "The server's address is not valid",
            expected="an address such as " + DEFAULT_SERVER,
            got=got,
            action=action,
        )

    def _check_token(self):
        if not _TOKEN.fullmatch(self.token):
            raise errors.UnauthenticatedError(
                "The token is not complete, or something else was pasted",
                expected="letters, digits and -._~+/= without spaces",
                got="other characters",  # not which: the text may be a password
                action="copy the token again",
            )
        if not is_encrypted(self.server) and not is_loopback(self.server):
            raise errors.InsecureError(
                "The token was not sent: everybody on the way could read it",
                expected="an address that begins with https://",
                got=self.server,
                action="write https:// if the server has TLS, or ask its administrator for it",
            )

    def _check_ca_file(self):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise errors.UntrustedError(
                "The CA file cannot be used",
                expected="a PEM file with certificates",
                got=f"{self.ca_file}: {getattr(error, 'strerror', None) or type(error).__name__}",
                action="choose another file, or none for a certificate of a well-known authority",
            ) from error
