"""``python -m benchmarks.active_learning``: train what is missing, judge it, write the page.

Seeds need nothing of each other and may be run side by side (``--seeds N``). The Dice of every patient in
every round is kept in ``--figures``, which the repository holds: what is there is not trained again, and
``--page`` writes the page from what is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.active_learning import page
from benchmarks.active_learning.bench import SEEDS, WAYS, Bench
from benchmarks.suggesting import UPDATES


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.active_learning", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/active_learning"))
    parser.add_argument("--figures", type=Path, default=Path("benchmarks/figures/active_learning"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(data=chosen.data, runs=chosen.runs, figures=chosen.figures, updates=chosen.updates)
    if not chosen.page:
        for seed, way in ((seed, way) for seed in chosen.seeds for way in WAYS):
            begin = time.monotonic()
            bench.curve(way, seed)
            minutes = (time.monotonic() - begin) / 60
            print(f"{way.name}, seed {seed}: {minutes:.1f} min", file=sys.stderr, flush=True)
    page.write(bench.finished(), bench.rounds, chosen.docs, updates=chosen.updates)


if __name__ == "__main__":
    main()
