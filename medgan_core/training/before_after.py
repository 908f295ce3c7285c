"""Two versions of a model on the same patients: which one is better, for a card and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from medgan_core.card import Figure
from medgan_core.report import Row

_UNITS = {"psnr": "dB", "ssim": ""}


@dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    """Figures of a version and of the one tuned from it.

    Args:
        version: of the one before.
        before: rows as `evaluation.measure` gives them.
        after: those of the tuned one, of the same cases.
    """

    version: str
    before: Sequence[dict[str, Any]]
    after: Sequence[dict[str, Any]]

    @property
    def better(self) -> bool:
        """True when PSNR and SSIM, each the mean over patients, both rose."""
        means = (self._means(metric) for metric in _UNITS)
        return all(fmean(after) > fmean(before) for before, after in means)

    def figures(self, command: str) -> tuple[Figure, ...]:
        """For the tuned version's card: its own figures, with those of before as the baseline.

        Args:
            command: that tuned it.
        """
        found = []
        for metric, unit in _UNITS.items():
            before, after = self._means(metric)
            found.append(
                Figure(
                    name=metric,
                    value=round(fmean(after), 4),
                    unit=unit,
                    n=len(after),
                    split="patients of the site, held back from tuning",
                    command=command,
                    spread=round(stdev(after), 4) if len(after) > 1 else None,
                    baseline=f"{self.version} {fmean(before):.4f}",
                )
            )
        return tuple(found)

    def rows(self) -> list[Row]:
        """For a report: each patient held back, then the mean."""
        rows = []
        for metric, unit in _UNITS.items():
            before, after = self._means(metric)
            triples = [*zip(self._patients(), before, after, strict=True)]
            for patient, old, new in [*triples, ("Mean", fmean(before), fmean(after))]:
                rows.append(
                    Row(
                        f"{patient}: {metric.upper()}",
                        round(new, 4),
                        unit,
                        f"more than {old:.4f}, as {self.version} has",
                        "pass" if new > old else "caution",
                    )
                )
        return rows

    def _patients(self) -> list[str]:
        return sorted({row["patient"] for row in self.before})

    def _means(self, metric: str) -> tuple[list[float], list[float]]:
        """For each patient the mean over its cases, before and after."""

        def of(rows: Sequence[dict[str, Any]]) -> list[float]:
            return [fmean(r[metric] for r in rows if r["patient"] == p) for p in self._patients()]

        return of(self.before), of(self.after)
