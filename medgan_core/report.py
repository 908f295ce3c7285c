"""What a run says about itself: rows a person can read, and how the result was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "caution", "fail", "not assessed"]

_ORDER: tuple[Verdict, ...] = ("not assessed", "pass", "caution", "fail")


@dataclass(frozen=True)
class Row:
    """One statement: a name, a value with its unit, the limit it is held against, a verdict.

    Args:
        name: of what is told.
        value: a number, or words.
        unit: of the value, with whatever else a person should read behind it.
        limit: what the value is held against, in words.
        verdict: of the value beside its limit.
        interval: its ends, in the value's unit, where one is known; `unit` says of which level.
    """

    name: str
    value: float | str
    unit: str = ""
    limit: str = ""
    verdict: Verdict = "not assessed"
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; ``interval`` only where one is known."""
        plain = asdict(self)
        if self.interval is None:
            del plain["interval"]
        else:
            plain["interval"] = list(self.interval)
        return plain


@dataclass(frozen=True)
class Report:
    """Rows and provenance of one run.

    Args:
        rows: in the order a person should read them.
        provenance: model (name, version, sha256), parameters, seed, plan (device, precision, tiling, back
            end), library versions, seconds per stage, and ``synthetic: true``.
    """

    rows: tuple[Row, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all rows."""
        return max((row.verdict for row in self.rows), key=_ORDER.index, default="not assessed")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: ``{"verdict", "rows", "provenance"}``."""
        return {
            "verdict": self.verdict,
            "rows": [row.to_dict() for row in self.rows],
            "provenance": self.provenance,
        }
