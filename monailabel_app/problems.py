"""Errors of the server and how any error becomes a problem document (RFC 9457)."""

from __future__ import annotations

from typing import Any

from medgan_core.errors import MedganError, ResourceError, UsageError


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


class BusyError(ResourceError):
    """The queue is full."""

    code = "busy"


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
    "not-ready": 409,
    "cancelled": 409,
    "too-large": 413,
    "input-refused": 422,
    "unsuitable-input": 422,
    "host-refused": 403,
    "busy": 503,
    "resource": 503,
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


def foreseen(error: BaseException) -> MedganError:
    """The error itself if the project raised it on purpose, else an `InternalError` that names it."""
    if isinstance(error, MedganError):
        return error
    return InternalError(
        "The server met an error nobody foresaw",
        got=f"{type(error).__name__}: {error}"[:300],
        action="see the server's log, and report it with the log if it persists",
    )
