"""Errors of the server and how any error becomes a problem document (RFC 9457)."""

from __future__ import annotations

import errno
import os
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Scope

from medgan_core.errors import MedganError, ResourceError, UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNUSABLE = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
PROBLEM_JSON = "application/problem+json"


class UnknownModelError(UsageError):
    """There is no such model."""

    code = "unknown-model"


class UnknownImageError(UsageError):
    """There is no such image in the datastore."""

    code = "unknown-image"


class NotFoundError(UsageError):
    """There is no such job, result or address."""

    code = "not-found"


class MethodError(UsageError):
    """The address is there, but not for this method."""

    code = "method-not-allowed"


class NotReadyError(UsageError):
    """The job has no result (yet)."""

    code = "not-ready"


class TooLargeError(UsageError):
    """An upload is larger than the server takes."""

    code = "too-large"


class HostRefusedError(UsageError):
    """The request, or the wish to listen, concerns another host than this one."""

    code = "host-refused"


class UnauthenticatedError(UsageError):
    """The client did not say who it is, or not so that it can be believed."""

    code = "unauthenticated"


class ForbiddenError(UsageError):
    """The client is known, but its role does not allow this."""

    code = "forbidden"


class UnreadyError(ResourceError):
    """The server lives, but cannot do work (yet)."""

    code = "unready"


class BusyError(ResourceError):
    """The queue is full."""

    code = "busy"


class StorageFullError(ResourceError):
    """Uploads, results or stored studies do not fit into the server's quota, or on its disk."""

    code = "storage-full"


class KeyReusedError(UsageError):
    """An idempotency key came with another request than the first time."""

    code = "key-reused"


class StateError(UsageError):
    """The job is not in a state that allows this."""

    code = "wrong-state"


class ServerEndedError(ResourceError):
    """The server ended before the job did; the next one can take the job up."""

    code = "interrupted"


class WorkerDiedError(MedganError):
    """The process that did the work ended before the work did."""

    code = "worker-died"


class InternalError(MedganError):
    """An error nobody foresaw; the log has its trace."""

    code = "internal"


STATUS: dict[str, int] = {
    "usage": 422,
    "unknown-model": 404,
    "unknown-image": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "unauthenticated": 401,
    "forbidden": 403,
    "not-ready": 409,
    "cancelled": 409,
    "wrong-state": 409,
    "key-reused": 422,
    "storage-full": 507,
    "interrupted": 503,
    "too-large": 413,
    "input-refused": 422,
    "unsuitable-input": 422,
    "host-refused": 403,
    "busy": 503,
    "unready": 503,
    "resource": 503,
    "pacs-unreachable": 504,
    "pacs-refused": 502,
    "pacs-answer": 502,
    "not-from-pacs": 409,
    "not-writable-as-dicom": 422,
}


def problem(error: MedganError) -> dict[str, Any]:
    """The error as a problem document: type, title, status, detail, code, expected, got, action."""
    return {
        "type": f"urn:medgan:problem:{error.code}",
        "title": error.what,
        "status": STATUS.get(error.code, 500),
        "detail": str(error),
        "code": error.code,
        "expected": error.expected,
        "got": error.got,
        "action": error.action,
    }


def problem_response(error: MedganError, scope: Scope, *, status: int | None = None) -> JSONResponse:
    """The answer to a request that ended with an error.

    Args:
        error: what went wrong.
        scope: of the request; the problem's code is noted in its state for log and metrics.
        status: of HTTP, where it is not the one that belongs to the error's code.
    """
    document = problem(error)
    return document_response(document if status is None else {**document, "status": status}, scope)


def document_response(document: dict[str, Any], scope: Scope) -> JSONResponse:
    """A problem document as an answer, with the request's id in it."""
    state = scope.setdefault("state", {})
    state["problem"] = document["code"]
    headers = {"WWW-Authenticate": "Bearer"} if document["status"] == 401 else None
    document = {**document, "request_id": state.get("request_id", "")}
    return JSONResponse(document, document["status"], headers=headers, media_type=PROBLEM_JSON)


def foreseen(error: BaseException) -> MedganError:
    """The error itself if the project raised it on purpose, or what it says of the disk.

    Else an `InternalError` that names its kind.
    """
    if isinstance(error, MedganError):
        return error
    if isinstance(error, OSError) and error.errno in (*_FULL, *_UNUSABLE):
        full = error.errno in _FULL
        return (StorageFullError if full else ResourceError)(
            "The server's disk is full" if full else "The server's disk cannot be used",
            expected="a disk that takes what is written",
            got=os.strerror(error.errno),  # Not the error's text: that names files of the server.
            action="free some room on the server's disk" if full else "see the server's log",
        )
    return InternalError(
        "The server met an error nobody foresaw",
        # Not its text: that may name files and folders of the server.
        got=type(error).__name__,
        action="see the server's log, and report it with the log if it persists",
    )
