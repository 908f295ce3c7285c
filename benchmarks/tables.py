"""From records to tables a person reads: per patient, and in total with spread and n."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from medgan_core.evaluation import FIGURES

Values = dict[str, dict[str, float]]
"""Figures by method."""

_DECIMALS = {"psnr": 2, "ssim": 3, "mae": 4, "ms_ssim": 3, "coverage": 3}
_TITLES = {"psnr": "PSNR dB", "ssim": "SSIM", "mae": "MAE", "ms_ssim": "MS-SSIM"}


def per_patient(records: Iterable[dict[str, Any]], task: str) -> dict[tuple[str, str], Values]:
    """Means over visits by (patient, case), and the means over a patient's cases.

    The latter are called "mean", or "mean 9 %" where cases end in a noise level.
    """
    found: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = {}
    for record in records:
        if record["task"] == task:
            methods = found.setdefault((record["patient"], record["case"]), {})
            methods.setdefault(record["method"], []).append(record["figures"])
    cells = {key: {m: _mean(f) for m, f in methods.items()} for key, methods in found.items()}
    groups: dict[tuple[str, str], list[Values]] = {}
    for (patient, case), values in cells.items():
        groups.setdefault((patient, " ".join(["mean", *case.split()[1:]])), []).append(values)
    for key, group in groups.items():
        methods = dict.fromkeys(m for values in group for m in values)
        cells[key] = {m: _mean([values[m] for values in group if m in values]) for m in methods}
    return cells


def ahead(values: Values, baselines: Sequence[str], figures: Sequence[str] = ("psnr", "ssim")) -> bool | None:
    """True when the model is above every baseline in every figure named; None without a model."""
    if "model" not in values or not any(b in values for b in baselines):
        return None
    return all(values["model"][f] > values[b][f] for f in figures for b in baselines if b in values)


def trusted(values: Values) -> bool | None:
    """True when the trust map's rank correlation is above the gradient map's; None without a trust map."""
    model = values.get("model", {})
    return model["spearman"] > model["gradient_spearman"] if "spearman" in model else None


def summary(cells: dict[tuple[str, str], Values], baselines: Sequence[str]) -> list[dict[str, Any]]:
    """By case and method: mean, spread (standard deviation over patients) and n; and counts of wins."""
    rows: list[dict[str, Any]] = []
    for case in dict.fromkeys(case for _, case in cells):
        mine = [values for (_, c), values in cells.items() if c == case]
        wins = [w for values in mine if (w := ahead(values, baselines)) is not None]
        trust = [w for values in mine if (w := trusted(values)) is not None]
        for method in ("model", *baselines):
            given = [values[method] for values in mine if method in values]
            if given:
                row: dict[str, Any] = {"case": case, "method": method, "n": len(given)}
                row |= {f: _spread([g[f] for g in given if f in g]) for f in given[0]}
                if method == "model":
                    row |= {"ahead": [sum(wins), len(wins)], "trust_ahead": [sum(trust), len(trust)]}
                rows.append(row)
    return rows


def patient_table(cells: dict[tuple[str, str], Values], baselines: Sequence[str]) -> str:
    """One row per patient and case: PSNR and SSIM of every method, trust figures, and who is ahead."""
    methods = ("model", *baselines)
    head = ["patient", "case", *(f"PSNR {m}" for m in methods), *(f"SSIM {m}" for m in methods)]
    head += ["ahead", "Spearman trust", "Spearman gradient", "coverage 90 %"]
    rows = []
    for (patient, case), values in sorted(cells.items(), key=lambda item: item[0][0]):
        row = [patient, case]
        row += [_number(values.get(m, {}).get(f), f) for f in ("psnr", "ssim") for m in methods]
        model = values.get("model", {})
        row += [_yes(ahead(values, baselines))]
        row += [_number(model.get(f), f) for f in ("spearman", "gradient_spearman", "coverage")]
        rows.append(row)
    return _markdown(head, rows)


def total_table(rows: list[dict[str, Any]]) -> str:
    """One row per case and method: mean +- spread over the patients, n, and how often the model is ahead."""
    head = ["case", "method", "n", *(_TITLES[f] for f in FIGURES)]
    head += ["ahead", "Spearman trust", "Spearman gradient", "trust ahead", "coverage 90 %"]
    body = []
    for row in rows:
        line = [row["case"], row["method"], str(row["n"]), *(_plus_minus(row.get(f), f) for f in FIGURES)]
        line += [
            _count(row.get("ahead")),
            *(_plus_minus(row.get(f), f) for f in ("spearman", "gradient_spearman")),
        ]
        line += [_count(row.get("trust_ahead")), _plus_minus(row.get("coverage"), "coverage")]
        body.append(line)
    return _markdown(head, body)


def _mean(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(key for f in figures for key in f)
    return {key: fmean(f[key] for f in figures if key in f) for key in keys}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    finite = [v for v in values if np.isfinite(v)]
    return {
        "mean": fmean(finite) if finite else None,
        "spread": stdev(finite) if len(finite) > 1 else None,
    }


def _number(value: float | None, figure: str) -> str:
    return "-" if value is None else f"{value:.{_DECIMALS.get(figure, 2)}f}"


def _plus_minus(value: dict[str, float | None] | None, figure: str) -> str:
    if value is None or value["mean"] is None:
        return "-"
    mean = _number(value["mean"], figure)
    return mean if value["spread"] is None else f"{mean} ± {_number(value['spread'], figure)}"


def _count(pair: Sequence[int] | None) -> str:
    return f"{pair[0]} of {pair[1]}" if pair and pair[1] else "-"


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "-"}[value]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
