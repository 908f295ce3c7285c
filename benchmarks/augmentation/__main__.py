"""``python -m benchmarks.augmentation``: train what is missing, judge it, write the page.

Runs of one seed need nothing of another, so seeds may be run side by side, each with ``--seeds N``. The Dice
of every patient in every cell is kept in ``--figures``, which the repository holds: a cell that is there is
not trained again, and ``--page`` writes the page from what is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.augmentation import page
from benchmarks.augmentation.bench import GENERATOR_UPDATES, UPDATES, Bench
from benchmarks.augmentation.plan import SEEDS, Cell, cells


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/augmentation"))
    parser.add_argument("--figures", type=Path, default=Path("benchmarks/figures/augmentation"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--arms", nargs="+", help="only these; all when left out")
    parser.add_argument("--labelled", type=int, nargs="+", help="only these numbers of labels, 0 for all")
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--generator-updates", type=int, default=GENERATOR_UPDATES)
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(
        data=chosen.data,
        runs=chosen.runs,
        figures=chosen.figures,
        updates=chosen.updates,
        generator_updates=chosen.generator_updates,
    )

    def wanted(cell: Cell) -> bool:
        return (not chosen.arms or cell.arm.name in chosen.arms) and (
            chosen.labelled is None or cell.labelled in chosen.labelled
        )

    if not chosen.page:
        for cell in (c for seed in chosen.seeds for c in cells(seed) if wanted(c)):
            begin = time.monotonic()
            bench.judged(cell)
            minutes = (time.monotonic() - begin) / 60
            print(f"{cell.name}: {minutes:.1f} min", file=sys.stderr, flush=True)
    everything = {cell: bench.found(cell) for seed in SEEDS for cell in cells(seed)}
    page.write({cell: dices for cell, dices in everything.items() if dices is not None}, chosen.docs)


if __name__ == "__main__":
    main()
