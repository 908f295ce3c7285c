"""Every error of an address becomes a problem document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelException,
)
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from medgan_core.errors import MedganError, UsageError
from monailabel_app.api.jobs import JobError
from monailabel_app.problems import (
    MethodError,
    NotFoundError,
    TooLargeError,
    UnknownImageError,
    document_response,
    problem_response,
)

_KINDS: dict[int, type[MedganError]] = {404: NotFoundError, 405: MethodError, 413: TooLargeError}


def handle_errors(app: FastAPI) -> None:
    """Have the app answer its errors with problem documents; `RequestTrace` answers those not named here."""

    @app.exception_handler(MedganError)
    async def ours(request: Request, error: MedganError) -> JSONResponse:
        return problem_response(error, request.scope)

    @app.exception_handler(JobError)
    async def of_job(request: Request, error: JobError) -> JSONResponse:
        return document_response(error.document, request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        refused = UsageError(
            "The request is not valid at " + ".".join(str(part) for part in first["loc"])[:100],
            expected=str(first["msg"])[:200],
            got=repr(first.get("input"))[:200],
            action="correct the request; GET /openapi.json describes it",
        )
        return problem_response(refused, request.scope)

    @app.exception_handler(MONAILabelException)
    async def monailabel(request: Request, error: Any) -> JSONResponse:
        missing = isinstance(error, ImageNotFoundException | LabelNotFoundException)
        kind = UnknownImageError if missing else UsageError
        action = "GET /datastore/?output=all lists what there is"
        return problem_response(kind(str(error.msg)[:300], action=action), request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        text, action = str(error.detail)[:300], "see GET /openapi.json for what the server offers"
        if error.detail == "Not Found":
            text = "There is no such address"
        kind = _KINDS.get(error.status_code, UsageError)
        refused = kind(text, got=f"{request.method} {request.url.path[:200]}", action=action)
        answer = problem_response(refused, request.scope, status=error.status_code)
        answer.headers.update(error.headers or {})
        return answer
