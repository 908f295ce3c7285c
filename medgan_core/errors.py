"""One root error, few leaves; every message says what was expected, what came, what to do."""

from __future__ import annotations

from typing import ClassVar


class MedganError(Exception):
    """Root of every error this project raises on purpose.

    Args:
        what: one sentence that names what went wrong.
        expected: what would have been right.
        got: what came instead.
        action: what the person can do about it.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 4

    def __init__(self, what: str, *, expected: str = "", got: str = "", action: str = "") -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.action = action
        parts = [what.rstrip(".") + "."]
        for label, text in (("Expected", expected), ("Got", got), ("What to do", action)):
            if text:
                parts.append(f"{label}: {text.rstrip('.')}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by parts, so that an error crosses a process border whole."""
        return _rebuild, (type(self), self.what, self.expected, self.got, self.action), self.__dict__

    def to_dict(self) -> dict[str, str]:
        """The error as plain text fields: code, what, expected, got, action."""
        return {
            "code": self.code,
            "what": self.what,
            "expected": self.expected,
            "got": self.got,
            "action": self.action,
        }


def _rebuild(cls: type[MedganError], what: str, expected: str, got: str, action: str) -> MedganError:
    return cls(what, expected=expected, got=got, action=action)


class UsageError(MedganError):
    """The request itself is wrong: an unknown option, key, model or target."""

    code = "usage"
    exit_status = 2


class InputError(MedganError):
    """An input was refused: unreadable, malformed, or outside of what can be worked on."""

    code = "input-refused"
    exit_status = 3


class UnsuitableError(InputError):
    """The input is readable, but it is outside the domain the model's card declares.

    `report` holds what the suitability check found, as plain JSON types.
    """

    code = "unsuitable-input"
    report: dict[str, object] | None = None


class ModelError(MedganError):
    """A model's card or weights are missing, damaged, or do not belong together."""

    code = "model"


class ResourceError(MedganError):
    """The machine cannot do it: memory, disk, a device or a back end that is not there."""

    code = "resource"


class CancelledError(MedganError):
    """The person stopped the work."""

    code = "cancelled"
    exit_status = 130

    def __init__(self, what: str = "The run was cancelled", **parts: str) -> None:
        super().__init__(what, **parts)
