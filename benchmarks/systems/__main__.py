"""Trains every system, judges it, and writes docs/systems.md.

    python -m benchmarks.systems --data DATA --runs runs/systems --out docs

What is finished is not trained again, and what was judged is kept below `--runs`, so a call that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.systems import plan, report, training
from benchmarks.systems.ablation import ablation
from benchmarks.systems.classification import classification
from benchmarks.systems.compression import compression
from benchmarks.systems.detection import detection
from benchmarks.systems.generation import generation
from benchmarks.systems.inpainting import inpainting
from benchmarks.systems.judged import Bench
from benchmarks.systems.reconstruction import reconstruction
from benchmarks.systems.runs import Runs
from benchmarks.systems.spade import spade
from benchmarks.systems.stability import stability
from benchmarks.systems.super_resolution import super_resolution
from benchmarks.systems.translation import translation
from medgan_core.errors import CancelledError, MedganError

QUESTIONS: tuple[report.Question, ...] = (
    generation,
    ablation,
    stability,
    reconstruction,
    compression,
    translation,
    super_resolution,
    inpainting,
    detection,
    spade,
    classification,
)
"""In the order of the page."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        SystemExit: with status 2 when it is not complete.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.systems", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False
    )
    data = os.environ.get("MEDGAN_DATA")
    parser.add_argument("--data", type=Path, default=data and Path(data), help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/systems"), help="folder of all runs")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train these runs; all by default")
    parser.add_argument("--no-train", action="store_true", help="only judge what is finished, and write")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--max-minutes", type=float, help="stop training, resumable, after so long")
    parser.add_argument("--images", type=int, default=Bench.images, help="a generator is judged by")
    chosen = parser.parse_args(arguments)
    if chosen.data is None:
        parser.error("give --data, or set MEDGAN_DATA to the folder with manifest.csv")
    if chosen.parallel < 1:
        parser.error("--parallel must be at least 1")
    known = [planned.name for planned in plan.everything()]
    if unknown := set(chosen.only or ()) - set(known):
        parser.error(f"no such run: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, judge and write; the exit status of the command line."""
    chosen = parse(arguments)
    try:
        if not chosen.no_train:
            wanted = [p for p in plan.everything() if not chosen.only or p.name in chosen.only]
            training.train(
                wanted,
                data=chosen.data,
                runs=chosen.runs,
                parallel=chosen.parallel,
                max_minutes=chosen.max_minutes,
            )
        bench = Bench(chosen.data, Runs(chosen.runs), chosen.images)
        page = report.write(bench, plan.SYSTEMS, QUESTIONS, chosen.out)
    except KeyboardInterrupt:
        print("stopped; call again to go on", file=sys.stderr)
        return CancelledError.exit_status
    except MedganError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
