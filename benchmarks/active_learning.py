"""Simulated annotation: Dice against the number of labelled crops, by the strategy that chose them.

    python -m benchmarks.active_learning --data DATA --runs runs/active_learning

A first network learns from a few crops drawn at random. Then a strategy of `medgan_core.active` says which
crops to label next, from what the network says of the unlabelled ones, and a new network learns from all
that are labelled. Seeds need nothing of each other and may be run side by side (``--seeds N``). The Dice of
every patient in every round is kept in ``--figures``, which the repository holds; what is there is not
trained again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks.kept import kept
from benchmarks.labelled_sets import first_labelled, write
from benchmarks.suggesting import SMALL, UPDATES, Dices, judged, mean_dice, suggested, trained
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Table
from medgan_core.active import STRATEGIES, Pool, disagreement, order
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest

ROUNDS = (8, 16, 24, 32, 48)
"""Labelled crops in each round; the first ones are drawn at random."""

SEEDS = (0, 1, 2)
PROTOCOL = 1

HEAD = """\
# Which crops to label first

Simulated annotation of hippocampus crops: {first} crops drawn at random are labelled, then a strategy chooses
the next ones from what the network trained so far says of the others. Dice on the val patients, mean over
them and both parts, ± the standard deviation over seeds. epistemic: the three views of a crop disagree most
(mutual information). diversity: the network's features are farthest from those of all labelled crops (greedy
k-centre). A seed has the same first crops for every strategy.

    python -m benchmarks.active_learning --data DATA --runs runs/active_learning

The Dice of every patient in every round lies in benchmarks/figures/active_learning.
"""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One strategy after the other, round by round.

    Args:
        data: folder with the manifest.
        runs: folder of all runs; its last part is the benchmark's name.
        figures: folder of the Dice of every round.
        rounds: labelled crops in each round.
        updates: of every network.
        segmentation: further settings of every network.
    """

    data: Path
    runs: Path
    figures: Path
    rounds: tuple[int, ...] = ROUNDS
    updates: int = UPDATES
    segmentation: Mapping[str, Any] = field(default_factory=lambda: SMALL)

    def curve(self, strategy: str, seed: int) -> list[Dices]:
        """Dice on the val patients in every round; what was done is taken from the folder."""
        labelled = sorted(set(first_labelled(self.data, self.rounds[0], seed)))
        found = []
        for number, count in enumerate(self.rounds):
            name = f"{strategy if number else 'first'}-{count}-{seed}"
            record = self._round(name, strategy, seed, labelled, number)
            found.append(record["dice"])
            labelled = record["next"]
        return found

    def _round(
        self, name: str, strategy: str, seed: int, labelled: Sequence[str], number: int
    ) -> dict[str, Any]:
        """Dice of the network that learnt from the labelled crops, and who is labelled next."""
        last = number + 1 == len(self.rounds)

        def make() -> dict[str, Any]:
            run = self._trained(name, labelled, seed)
            more = 0 if last else self.rounds[number + 1] - self.rounds[number]
            return {
                "dice": judged(run, self.data),
                "next": [*labelled, *(self._chosen(run, strategy, seed, labelled)[:more] if more else [])],
            }

        key = {
            "protocol": PROTOCOL,
            "rounds": self.rounds[: number + 2],
            "updates": self.updates,
            "labelled": list(labelled),
            "settings": {k: str(v) for k, v in self.segmentation.items()},
        }
        found: dict[str, Any] = kept(self.figures / f"{strategy}-{number}-{seed}.json", key, make)
        return found

    def _trained(self, name: str, labelled: Sequence[str], seed: int) -> Finished:
        recipe = HippocampusSuggest(
            seed=seed, updates=self.updates, validate_every=self.updates, **self.segmentation
        )
        folder = write(self.runs / "sets" / name, self.data, set(labelled))
        return trained(recipe, folder, self.runs / name)

    def _chosen(self, run: Finished, strategy: str, seed: int, labelled: Sequence[str]) -> list[str]:
        """The unlabelled patients in the order of the strategy."""
        everyone = list(suggested(run, self.data, validation=False))
        done = set(labelled)
        left = [one for one in everyone if one.patient not in done]
        features = {one.patient: one.features.numpy() for one in everyone}
        pool = Pool(
            scores=np.array([disagreement(one.members.numpy()) for one in left]),
            features=np.stack([features[one.patient] for one in left]),
            labelled=np.stack([features[patient] for patient in labelled]),
            seed=seed,
        )
        return [left[index].patient for index in order(strategy, pool)]


Curves = dict[tuple[str, int], list[Dices]]
"""Dice in every round by strategy and seed."""


def table(curves: Curves, rounds: Sequence[int]) -> Table:
    """Dice by strategy and number of labels."""
    rows = []
    for strategy in STRATEGIES:
        mine = [curve for (name, _), curve in curves.items() if name == strategy]
        if mine:
            cells = [spread([mean_dice(c[n]) for c in mine], 3) for n in range(len(rounds))]
            rows.append([strategy, str(len(mine)), *cells])
    return Table(("strategy", "seeds", *(f"{n} labels" for n in rounds)), rows)


def page(curves: Curves, rounds: Sequence[int], docs: Path) -> None:
    """docs/active_learning.md with its plot."""
    docs.mkdir(parents=True, exist_ok=True)
    plot(curves, rounds, docs / "active_learning.png")
    picture = "![Dice against the number of labels](active_learning.png)"
    text = "\n\n".join([HEAD.format(first=rounds[0]), table(curves, rounds).markdown(), picture])
    (docs / "active_learning.md").write_text(text + "\n", encoding="utf-8")


def plot(curves: Curves, rounds: Sequence[int], file: Path) -> None:
    """A line for each strategy, with the range of its seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for strategy in STRATEGIES:
        mine = [[mean_dice(d) for d in curve] for (name, _), curve in curves.items() if name == strategy]
        if mine:
            by_round = list(zip(*mine, strict=True))
            line = axes.plot(rounds, [fmean(v) for v in by_round], marker="o", label=strategy)
            low, high = [min(v) for v in by_round], [max(v) for v in by_round]
            axes.fill_between(rounds, low, high, alpha=0.15, color=line[0].get_color())
    axes.set_xlabel("labelled crops")
    axes.set_ylabel("Dice, val patients")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.active_learning")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/active_learning"))
    parser.add_argument("--figures", type=Path, default=Path("benchmarks/figures/active_learning"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--updates", type=int, default=UPDATES)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(data=chosen.data, runs=chosen.runs, figures=chosen.figures, updates=chosen.updates)
    curves: Curves = {}
    for seed in chosen.seeds:
        for strategy in STRATEGIES:
            begin = time.monotonic()
            curves[strategy, seed] = bench.curve(strategy, seed)
            minutes = (time.monotonic() - begin) / 60
            print(f"{strategy}, seed {seed}: {minutes:.1f} min", file=sys.stderr, flush=True)
    page(curves, bench.rounds, chosen.docs)


if __name__ == "__main__":
    main()
