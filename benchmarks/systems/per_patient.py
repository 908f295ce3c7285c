"""Figures per patient: visits first, then patients, with their number beside every mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, TypeAlias

from benchmarks.systems.section import Table

Plain: TypeAlias = Mapping[str, Any]

FIGURES = {"psnr": ("PSNR dB", 2), "ssim": ("SSIM", 3), "mae": ("MAE", 4), "ms_ssim": ("MS-SSIM", 3)}
"""Title and decimals of each figure of `evaluation.score`."""

Cells: TypeAlias = dict[tuple[str, str, str], dict[str, float]]
"""Figures by case, method and patient."""


def record(
    patient: str, case: str, method: str, figures: Mapping[str, float], keys: Iterable[str] = FIGURES
) -> dict[str, Any]:
    """One judged image as plain JSON types: of whom, which task, by what, and its figures of these keys."""
    kept = {key: float(figures[key]) for key in keys}
    return {"patient": patient, "case": case, "method": method, "figures": kept}


def over_visits(records: Iterable[Plain]) -> Cells:
    """Means over all that was judged of a patient."""
    found: dict[tuple[str, str, str], list[Mapping[str, float]]] = {}
    for one in records:
        found.setdefault((one["case"], one["method"], one["patient"]), []).append(one["figures"])
    return {key: {f: fmean(v[f] for v in values) for f in values[0]} for key, values in found.items()}


def summary(records: Iterable[Plain], *, figures: Sequence[str] = tuple(FIGURES)) -> Table:
    """A row for each case and method: mean and standard deviation over n patients."""
    cells = over_visits(records)
    rows = []
    for case, method in dict.fromkeys((c, m) for c, m, _ in cells):
        mine = [values for (c, m, _), values in cells.items() if (c, m) == (case, method)]
        row = [case, method, str(len(mine))]
        rows.append(row + [spread([values[f] for values in mine], FIGURES[f][1]) for f in figures])
    return Table(("case", "method", "n", *(FIGURES[f][0] for f in figures)), rows)


def patients_table(records: Iterable[Plain], *, figure: str = "psnr") -> Table:
    """A row for each case and patient, a column for each method."""
    cells = over_visits(records)
    methods = list(dict.fromkeys(m for _, m, _ in cells))
    title, decimals = FIGURES[figure]
    rows = []
    for case, patient in dict.fromkeys((c, p) for c, _, p in cells):
        given = [cells.get((case, method, patient)) for method in methods]
        rows.append([case, patient, *("-" if v is None else f"{v[figure]:.{decimals}f}" for v in given)])
    return Table(("case", "patient", *(f"{title} {m}" for m in methods)), rows)


def wins(records: Iterable[Plain], method: str, baseline: str, *, figure: str = "psnr") -> str:
    """How often a method is above a baseline, in words: ``2 of 3``, over cases and patients."""
    cells = over_visits(records)
    pairs = [
        (values[figure], cells[case, baseline, patient][figure])
        for (case, m, patient), values in cells.items()
        if m == method and (case, baseline, patient) in cells
    ]
    return f"{sum(ours > theirs for ours, theirs in pairs)} of {len(pairs)}"


def mean_of(records: Iterable[Plain], method: str, figure: str, *, case: str | None = None) -> float:
    """A method's mean over patients (and over cases, unless one is named)."""
    cells = over_visits(records)
    return fmean(v[figure] for (c, m, _), v in cells.items() if m == method and case in (None, c))


def spread(values: Sequence[float], decimals: int) -> str:
    """Mean and, with two or more values, standard deviation."""
    mean = f"{fmean(values):.{decimals}f}"
    return mean if len(values) < 2 else f"{mean} ± {stdev(values):.{decimals}f}"
