"""OpenID Connect: clients that an identity provider vouches for with a signed JWT (RFC 7519, RFC 9068)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests

from medgan_core.errors import ResourceError, UsageError
from monailabel_app.access.hosts import is_loopback
from monailabel_app.access.roles import ROLES, Role
from monailabel_app.problems import ForbiddenError, UnauthenticatedError

# Public-key signatures alone: with HS256 or "none" whoever knows the public key could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY_S = 30
_KEEP_S, _ASK_AGAIN_S = 3600.0, 30.0
_TIMEOUT_S = (3.0, 5.0)
_LARGEST = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Oidc:
    """Whose tokens are believed.

    Args:
        issuer: the provider's address, exactly as its tokens have it in ``iss``.
        audience: the name by which the provider knows this server; tokens for others are refused.
        jwks: address of the provider's keys; empty: found by ``/.well-known/openid-configuration``.
        role_claim: where a token lists roles; dots lead into objects (``realm_access.roles``). Counted are
            ``medgan-read``, ``medgan-run``, ``medgan-train`` and ``medgan-admin``.
    """

    issuer: str
    audience: str
    jwks: str = ""
    role_claim: str = "roles"

    def __post_init__(self) -> None:
        """Refuse settings under which a stranger's token could be believed.

        Raises:
            UsageError: without audience, or when keys would come over a line that can be changed.
        """
        if not self.audience:
            raise _wrong("an audience (--oidc-audience)", "none", "name this server as the provider knows it")
        for address in filter(None, (self.issuer, self.jwks)):
            parts = urlsplit(address)
            if not parts.hostname or (
                parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname))
            ):
                raise _wrong("an https:// address", address[:200], "use the provider's https address")
        if not jwt.algorithms.has_crypto:
            raise _wrong("the package cryptography", "it is not installed", "pip install 'pyjwt[crypto]'")


class OidcVerifier:
    """Checks tokens with the provider's keys, which are fetched when first needed and kept for an hour.

    Blocks while it fetches; call it in a thread.

    Args:
        settings: whose tokens are believed.
    """

    def __init__(self, settings: Oidc) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked = -_KEEP_S

    def verify(self, token: str) -> tuple[str, Role]:
        """Subject and role of a token.

        Raises:
            UnauthenticatedError: when signature, issuer, audience or time are not right.
            ForbiddenError: when it is right, and names no role of this server.
            ResourceError: when the provider's keys cannot be fetched.
        """
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise UnauthenticatedError(
                "The token is not valid",
                expected=f"one signed by {self.settings.issuer} for {self.settings.audience}",
                got=str(error)[:200],
                action="sign in again",
            ) from error
        roles = _roles(claims, self.settings.role_claim)
        if not roles:
            raise ForbiddenError(
                "The token names no role of this server",
                expected="one of " + ", ".join(f"medgan-{word}" for word in ROLES),
                got=f"none in {self.settings.role_claim!r}",
                action="ask the administrator of the identity provider for a role",
            )
        return str(claims["sub"])[:64], max(roles)

    def _key(self, kid: str | None) -> jwt.PyJWK:
        with self._lock:
            age = time.monotonic() - self._asked
            # A key nobody knows may be new; strangers must not make the server ask at every request.
            if age > _KEEP_S or (kid not in self._keys and age > _ASK_AGAIN_S):
                self._asked = time.monotonic()
                self._keys = self._fetch()
            if kid is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if kid not in self._keys:
                raise jwt.InvalidKeyError("signed with a key that the provider does not list")
            return self._keys[kid]

    def _fetch(self) -> dict[str | None, jwt.PyJWK]:
        address = self.settings.jwks
        if not address:
            found = _get(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            address = str(found.get("jwks_uri", ""))
            Oidc(issuer=self.settings.issuer, audience=self.settings.audience, jwks=address)
        keys: dict[str | None, jwt.PyJWK] = {}
        for entry in _get(address).get("keys", []):
            if entry.get("kty") in ("RSA", "EC", "OKP") and entry.get("use", "sig") == "sig":
                try:
                    keys[entry.get("kid")] = jwt.PyJWK(entry)
                except jwt.PyJWTError:
                    continue  # Of a kind that PyJWT does not know.
        return keys


def _get(address: str) -> dict[str, Any]:
    try:
        with requests.get(address, timeout=_TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            answer.raise_for_status()
            text = answer.raw.read(_LARGEST, decode_content=True)
        found = json.loads(text)
    except (requests.RequestException, ValueError, OSError) as error:
        raise ResourceError(
            "The identity provider does not answer",
            expected="its keys",
            got=type(error).__name__,
            action="try again; if it persists, tell the administrator",
        ) from error
    return found if isinstance(found, dict) else {}


def _roles(claims: Mapping[str, Any], where: str) -> set[Role]:
    value: Any = claims
    for step in where.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return {role for word, role in ROLES.items() if f"medgan-{word}" in words}


def _wrong(expected: str, got: str, action: str) -> UsageError:
    return UsageError("OpenID Connect cannot be used like this", expected=expected, got=got, action=action)
