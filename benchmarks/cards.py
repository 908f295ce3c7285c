"""Write the cross-validated figures of quality.json into the cards of the shipped models.

    python benchmarks/cards.py --quality runs/quality/quality.json

Prints what it wrote. The weights are not touched.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quality import MODELS
from medgan_core.card import Figure, ModelCard
from medgan_core.registry import CARD, SHIPPED

_SPLIT = "3-fold cross-validation by patient (weights of the fold, not the shipped ones)"
_UNITS = {"psnr": "dB", "ssim": "", "coverage": "share of voxels within the 90 % interval"}


def figures(summary: list[dict[str, Any]], command: str) -> tuple[Figure, ...]:
    """Figures of the model's rows of a summary, each beside its baselines."""
    found = []
    for row in summary:
        if row["method"] != "model":
            continue
        others = [r for r in summary if r["case"] == row["case"] and r["method"] != "model"]
        for name, unit in _UNITS.items():
            if name not in row:
                continue
            beside = "; ".join(f"{r['method']} {r[name]['mean']:.4g}" for r in others if name in r)
            spread = row[name]["spread"]
            found.append(
                Figure(
                    name=f"{row['case']}: {name}",
                    value=round(row[name]["mean"], 4),
                    spread=None if spread is None else round(spread, 4),
                    unit=unit,
                    n=row["n"],
                    split=_SPLIT,
                    command=command,
                    baseline=beside,
                )
            )
    return tuple(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quality", type=Path, default=Path("runs/quality/quality.json"))
    quality = json.loads(parser.parse_args().quality.read_text(encoding="utf-8"))
    for task, model in MODELS.items():
        if task not in quality["tasks"]:
            continue
        path = SHIPPED / model / CARD
        card = ModelCard.load(path)
        measured = figures(quality["tasks"][task]["summary"], quality["command"])
        replace(card, figures=measured).save(path)
        for figure in measured:
            print(
                f"{model}  {figure.name}  {figure.value} ± {figure.spread} (n {figure.n})  {figure.baseline}"
            )


if __name__ == "__main__":
    main()
