"""Checks every request before anything else sees it: where from, who, and whether they may."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from medgan_core.errors import MedganError
from monailabel_app.access.hosts import is_loopback, require_local, require_own_page
from monailabel_app.access.oidc import OidcVerifier
from monailabel_app.access.policy import Access
from monailabel_app.access.roles import ANYONE, LOCAL, Client, Role, needed
from monailabel_app.problems import (
    ForbiddenError,
    HostRefusedError,
    UnauthenticatedError,
    problem_response,
)


class AccessGuard:
    """Lets a request through with its `Client` in ``scope["state"]["client"]``, or refuses it.

    What is known of the client is there also when it is refused, for the audit log.

    Args:
        app: sees only requests that are let through.
        access: whom the server believes.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._verifier = None if access.oidc is None else OidcVerifier(access.oidc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 403."""
        if scope["type"] == "http":
            try:
                await self._admit(scope)
            except MedganError as error:
                await problem_response(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        """Note who asks as soon as that is known, and refuse who may not."""
        headers, state = Headers(scope=scope), scope.setdefault("state", {})
        peer = str((scope.get("client") or ("local",))[0])
        state["client"] = Client(ANYONE, Role.READ, peer)
        address = self._address(peer, headers)
        state["client"] = Client(ANYONE, Role.READ, address)
        if not self._access.asks:
            # With tokens these two add nothing for names: a foreign page knows no token.
            require_local(headers)
        require_own_page(headers, self._access.origins)
        role = needed(scope["method"], scope["path"])
        try:
            client = await self._known(headers.get("authorization", ""), address)
        except MedganError:
            if role is not None:
                raise
            client = None
        if client is not None:
            state["client"] = client
        if role is None:
            return
        if client is None:
            raise UnauthenticatedError(
                "The server does not know who asks",
                expected="the header Authorization: Bearer TOKEN",
                got="none, or a token that is not known",
                action="ask the administrator for a token",
            )
        if client.role < role:
            raise ForbiddenError(
                "The client may not do this",
                expected=f"the role {role.word}",
                got=f"the role {client.role.word}",
                action="ask the administrator for a token of that role",
            )

    async def _known(self, authorization: str, address: str) -> Client | None:
        if not self._access.asks:
            return Client(LOCAL, Role.ADMIN, address)
        scheme, _, text = authorization.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            return None
        token = self._access.tokens.find(text)
        if token is not None:
            return Client(token.name, token.role, address)
        if self._verifier is None or text.count(".") != 2:
            return None
        name, role = await run_in_threadpool(self._verifier.verify, text)
        return Client(name, role, address)

    def _address(self, peer: str, headers: Headers) -> str:
        """Where the request came from; behind the proxy, what the proxy says.

        Raises:
            HostRefusedError: when a proxy does TLS, and somebody goes around it.
        """
        if self._access.tls_proxy is None:
            return peer
        if peer != self._access.tls_proxy and not is_loopback(peer):
            raise HostRefusedError(
                "The server is reached through its proxy only",
                expected="the proxy's address",
                got=peer,
                action="use the proxy's https address",
            )
        # The last entry is the proxy's own word; earlier ones are the client's.
        return headers.get("x-forwarded-for", peer).rpartition(",")[2].strip()[:64] or peer
