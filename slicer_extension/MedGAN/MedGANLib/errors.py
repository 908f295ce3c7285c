"""What can go wrong between this module and a MedGAN server, each with what a person can do about it."""

from __future__ import annotations


class ClientError(Exception):
    """Root of every error of the client.

    Args:
        what: one sentence that names what went wrong.
        expected: what would have been right.
        got: what came instead.
        action: what the person can do.
        code: stable word to decide by; by default the one of the class.

    Attributes:
        job: id of a job that the server keeps and that can be taken up again; empty without one.
    """

    code = "failed"
    job = ""

    def __init__(self, what, *, expected="", got="", action="", code=None):
        self.what, self.expected, self.got, self.action = what, expected, got, action
        self.code = code or type(self).code
        super().__init__(text_of(self.to_dict()))

    def to_dict(self):
        """The error as plain text fields: code, what, expected, got, action, job."""
        return {
            "code": self.code,
            "what": self.what,
            "expected": self.expected,
            "got": self.got,
            "action": self.action,
            "job": self.job,
        }


class NotReachableError(ClientError):
    """Nobody answers under the address."""

    code = "not-reachable"


class NotMedganError(ClientError):
    """Somebody answers, but not a MedGAN server."""

    code = "not-medgan"


class VersionError(ClientError):
    """A MedGAN server that does not speak this client's language."""

    code = "version"


class NoAnswerError(ClientError):
    """The server was there, then stopped answering."""

    code = "timeout"


class RefusedError(ClientError):
    """The server refused the request or an input and said why."""

    code = "refused"


class ServerError(ClientError):
    """The server failed at its work."""

    code = "server"


class UnauthenticatedError(ClientError):
    """The server wants a token, or another one."""

    code = "unauthenticated"


class ForbiddenError(ClientError):
    """The token's role may not do this."""

    code = "forbidden"


class UntrustedError(ClientError):
    """There is no secure connection: the certificate is not trusted, or the other side has none."""

    code = "untrusted"


class InsecureError(ClientError):
    """The token would travel where others can read it."""

    code = "insecure"


class BusyError(ClientError):
    """Too many jobs wait for the server to take another one now."""

    code = "busy"


class InterruptedJobError(ClientError):
    """The server ended before the job did; it keeps the job and its volumes."""

    code = "interrupted"


class CancelledError(ClientError):
    """The person stopped the work."""

    code = "cancelled"

    def __init__(self, what="The run was cancelled", **parts):
        super().__init__(what, **parts)


class UnconfirmedError(ClientError):
    """The person stopped the work, and the server did not say that it stopped, too."""

    code = "unconfirmed"

    def __init__(self, what="The server could not be told to stop; its work may go on", **parts):
        parts.setdefault("action", "when the server can be reached, take the work up again and cancel it")
        super().__init__(what, **parts)


AWAY = (NotReachableError, NoAnswerError)
"""The server may come back, and its jobs with it."""
KEPT = (
    *AWAY,
    NotMedganError,
    UntrustedError,
    UnauthenticatedError,
    ForbiddenError,
    BusyError,
    InterruptedJobError,
    UnconfirmedError,
)
"""What does not end a job that the server has: it can be taken up again."""
_KINDS = {
    kind.code: kind
    for kind in (BusyError, CancelledError, ForbiddenError, InterruptedJobError, UnauthenticatedError)
}
REFUSED_CODES = frozenset(
    (
        "usage",
        "unknown-model",
        "unknown-image",
        "too-large",
        "input-refused",
        "unsuitable-input",
        "host-refused",
    )
)


def from_problem(problem):
    """The typed error for an RFC 9457 problem document of the server."""
    code = str(problem.get("code") or "failed")
    kind = RefusedError if code in REFUSED_CODES else _KINDS.get(code, ServerError)
    what = str(problem.get("title") or problem.get("what") or problem.get("detail") or "The server failed")
    parts = {key: str(problem.get(key) or "") for key in ("expected", "got", "action")}
    return kind(what, code=code, **parts)


def text_of(error):
    """An error's fields as the sentences a person reads."""
    parts = [str(error.get("what") or "Something failed").rstrip(".") + "."]
    for label, key in (("Expected", "expected"), ("Got", "got"), ("What to do", "action")):
        if error.get(key):
            parts.append("{}: {}.".format(label, str(error[key]).rstrip(".")))
    return " ".join(parts)
