"""What a run says about itself: rows a person can read, and how the result was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "caution", "fail", "not assessed"]

_ORDER: tuple[Verdict, ...] = ("not assessed", "pass", "caution", "fail")


@dataclass(frozen=True)
class Row:
    """One statement: a name, a value with its unit, the limit it is held against, a verdict."""

    name: str
    value: float | str
    unit: str = ""
    limit: str = ""
    verdict: Verdict = "not assessed"


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
            "rows": [asdict(row) for row in self.rows],
            "provenance": self.provenance,
        }
