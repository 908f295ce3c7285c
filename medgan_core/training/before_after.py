"""Two versions of a model on the same patients: which one is better, for a card and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from medgan_core.card import Figure
from medgan_core.report import Row

_IMAGES = {"psnr": "dB", "ssim": ""}
_DICE = "Dice, "
_LOSS = 0.02


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
    def units(self) -> dict[str, str]:
        """The unit of each metric: PSNR and SSIM of images, the Dice of each label of segmentations."""
        keys = dict.fromkeys(key for row in (*self.before, *self.after) for key in row)
        return {key: _IMAGES.get(key, "") for key in keys if key in _IMAGES or key.startswith(_DICE)}

    @property
    def better(self) -> bool:
        """True when what was tuned gained, means over patients.

        Of images every metric must rise. Of segmentations the mean Dice over the labels must, and no label
        may lose more than 0.02: small structures vary by as much.
        """
        gains = {m: fmean(after) - fmean(before) for m in self.units for before, after in [self._means(m)]}
        dices = [gain for metric, gain in gains.items() if metric.startswith(_DICE)]
        if dices:
            return fmean(dices) > 0 and min(dices) >= -_LOSS
        return bool(gains) and all(gain > 0 for gain in gains.values())

    @property
    def rule(self) -> str:
        """What `better` asks for, in words."""
        if any(metric.startswith(_DICE) for metric in self.units):
            return (
                f"mean Dice over the labels above that of {self.version}, no label more than {_LOSS} below it"
            )
        return f"means of {' and '.join(map(str.upper, self.units))} above those of {self.version}"

    def figures(self, command: str) -> tuple[Figure, ...]:
        """For the tuned version's card: its own figures, with those of before as the baseline.

        Args:
            command: that tuned it.
        """
        found = []
        for metric, unit in self.units.items():
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
        """For a report: of every metric each patient held back, then the mean, as `rule` holds it.

        Of segmentations the mean over the labels comes last. A patient's row is a caution when the patient
        lost, of segmentations more than 0.02.
        """
        rows: list[Row] = []
        dices: list[tuple[float, float]] = []
        for metric, unit in self.units.items():
            dice = metric.startswith(_DICE)
            title, loss = (metric, _LOSS) if dice else (metric.upper(), None)
            before, after = self._means(metric)
            for patient, old, new in zip(self._patients(), before, after, strict=True):
                rows.append(self._row(f"{patient}: {title}", unit, old, new, loss or 0.0))
            mean = fmean(before), fmean(after)
            rows.append(self._row(f"Mean: {title}", unit, *mean, loss))
            dices += [mean] if dice else []
        if dices:
            old, new = map(fmean, zip(*dices, strict=True))
            rows.append(self._row("Mean: Dice over the labels", "", old, new, None))
        return rows

    def _row(self, name: str, unit: str, old: float, new: float, loss: float | None) -> Row:
        """One figure of both versions, which may lose so much; None when it must rise."""
        limit = f"more than {old:.4f}" if loss is None else f"at least {old - loss:.4f}"
        beside = f"{_LOSS} below that of {self.version}" if loss else f"as {self.version} has"
        good = new > old if loss is None else new - old >= -loss
        return Row(name, round(new, 4), unit, f"{limit}, {beside}", "pass" if good else "caution")

    def _patients(self) -> list[str]:
        return sorted({row["patient"] for row in self.before})

    def _means(self, metric: str) -> tuple[list[float], list[float]]:
        """For each patient the mean over its cases, before and after.

        A label that is neither in the truth nor in the answer is told right: its Dice counts as 1.
        """

        def of(rows: Sequence[dict[str, Any]]) -> list[float]:
            return [fmean(r.get(metric, 1.0) for r in rows if r["patient"] == p) for p in self._patients()]

        return of(self.before), of(self.after)
