"""The sign-in of stock MONAI Label clients: they ask for a name and a password, the password is the token."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request

from monailabel_app.access import Access, Client, client_of
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.problems import UnauthenticatedError

router = APIRouter(prefix="/auth", tags=["Access"], responses=PROBLEMS)
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["password"],
                    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
                }
            }
        },
    }
}


@router.get("/", summary="Must a client sign in?")
async def enabled(request: Request) -> dict[str, Any]:
    """Whether a token is needed; the other two fields are what stock clients look for."""
    return {"enabled": _access(request).asks, "client_id": "medgan", "realm": ""}


@router.post("/token", openapi_extra=_FORM, summary="Sign in with a token as password")
async def sign_in(request: Request) -> dict[str, str | None]:
    """The token again, if it is right: a stock client sends it with every request from then on."""
    access = _access(request)
    if not access.asks:
        return {"access_token": None, "token_type": None}
    # Cut, not refused: nobody's user name and password are longer.
    fields = parse_qs((await request.body())[:8192].decode("latin-1"))
    password = fields.get("password", [""])[0]
    if access.tokens.find(password) is None:
        raise UnauthenticatedError(
            "The password is not a token that is known",
            expected="a token of this server as password, under any user name",
            got="another",
            action="ask the administrator for a token"
            + ("" if access.oidc is None else f", or get one from {access.oidc.issuer}"),
        )
    return {"access_token": password, "token_type": "bearer"}


@router.get("/token/valid", summary="Who am I?")
async def who(client: Annotated[Client, Depends(client_of)]) -> dict[str, Any]:
    """Name and role of the client."""
    return {"username": client.name, "roles": [client.role.word]}


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access
