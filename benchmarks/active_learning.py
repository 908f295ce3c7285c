"""Simulated annotation: Dice against the number of labelled crops, by the strategy that chose them.

    python -m benchmarks.active_learning --data DATA --runs runs/active_learning

A first network learns from a few crops drawn at random. Then a strategy of `medgan_core.active` says which
crops to label next, from what the network says of the unlabelled ones, and a new network learns from all
that are labelled. Seeds need nothing of each other and may be run side by side (``--seeds N``). The Dice of
every patient in every round is kept in ``--figures``, which the repository holds: what is there is not
trained again, and ``--page`` writes the page from what is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.kept import kept, read
from benchmarks.labelled_sets import cases, first_labelled, write
from benchmarks.suggesting import SMALL, UPDATES, Dices, judged, mean_dice, suggested, trained
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Table
from medgan_core.active import Pool, at_random, disagreement, order
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest

ROUNDS = (4, 8, 16, 32)
"""Labelled crops in each round; the first are drawn at random."""

SEEDS = (0, 1, 2)
PROTOCOL = 3


@dataclass(frozen=True, kw_only=True)
class Way:
    """Who chooses the next crops.

    Args:
        name: short, unique.
        strategy: of `medgan_core.active`.
        networks: trained from different random weights; of one network the views are the members that may
            disagree, of several the networks.
    """

    name: str
    strategy: str
    networks: int = 1


WAYS = (
    Way(name="random", strategy="random"),
    Way(name="epistemic", strategy="epistemic"),
    Way(name="epistemic-ensemble", strategy="epistemic", networks=3),
    Way(name="diversity", strategy="diversity"),
)

HEAD = """\
# Which crops to label first

Simulated annotation of hippocampus crops: {first} crops drawn at random are labelled, then a strategy chooses
the next ones from what the network trained so far says of the others. Dice on the val patients, mean over
them and both parts, ± the standard deviation over seeds. A seed has the same first crops for every strategy,
and every network makes {updates} updates, however many crops are labelled.

- random: any crops.
- epistemic: the three views of a crop disagree most (mutual information). This is what the server does, which
  has one network.
- epistemic-ensemble: three networks trained from different random weights disagree most. The Dice is that of
  the first of them.
- diversity: the network's features are farthest from those of all labelled crops (greedy k-centre).

    python -m benchmarks.active_learning --data DATA --runs runs/active_learning

The Dice of every patient in every round lies in benchmarks/figures/active_learning.
"""


Curves = dict[tuple[str, int], list[Dices]]
"""Dice in every round by way and seed."""


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

    def curve(self, way: Way, seed: int) -> list[Dices]:
        """Dice on the val patients in every round; what was done is taken from the folder."""
        labelled = self._begun(seed)
        found = []
        for number in range(len(self.rounds)):
            record = self._round(way, seed, labelled, number)
            found.append(record["dice"])
            labelled = record["next"]
        return found

    def finished(self) -> Curves:
        """The curves of which every round is there, of any seed."""
        found: Curves = {}
        for way in WAYS:
            for seed in SEEDS:
                labelled: Sequence[str] = self._begun(seed)
                curve: list[Dices] = []
                for number in range(len(self.rounds)):
                    record = read(self._file(way, seed, number), self._key(way, labelled, number))
                    if record is None:
                        break
                    curve.append(record["dice"])
                    labelled = record["next"]
                else:
                    found[way.name, seed] = curve
        return found

    def _begun(self, seed: int) -> list[str]:
        """Who is labelled in the first round."""
        return sorted(set(first_labelled(self.data, self.rounds[0], seed)))

    def _file(self, way: Way, seed: int, number: int) -> Path:
        return self.figures / f"{way.name}-{number}-{seed}.json"

    def _round(self, way: Way, seed: int, labelled: Sequence[str], number: int) -> dict[str, Any]:
        """Dice of the network that learnt from the labelled crops, and who is labelled next."""
        name = f"{way.name if number else 'first'}-{self.rounds[number]}-{seed}"
        last = number + 1 == len(self.rounds)

        def make() -> dict[str, Any]:
            runs = [self._trained(name, labelled, seed, n) for n in range(1 if last else way.networks)]
            more = 0 if last else self.rounds[number + 1] - self.rounds[number]
            chosen = self._chosen(runs, way.strategy, seed, labelled)[:more] if more else []
            return {"dice": judged(runs[0], self.data), "next": [*labelled, *chosen]}

        found: dict[str, Any] = kept(self._file(way, seed, number), self._key(way, labelled, number), make)
        return found

    def _key(self, way: Way, labelled: Sequence[str], number: int) -> dict[str, Any]:
        return {
            "protocol": PROTOCOL,
            "way": asdict(way),
            "rounds": self.rounds[: number + 2],
            "updates": self.updates,
            "labelled": list(labelled),
            "settings": {k: str(v) for k, v in self.segmentation.items()},
        }

    def _trained(self, name: str, labelled: Sequence[str], seed: int, number: int) -> Finished:
        """The n-th network of a round."""
        recipe = HippocampusSuggest(
            seed=seed + 1000 * number, updates=self.updates, validate_every=self.updates, **self.segmentation
        )
        folder = write(self.runs / "sets" / name, self.data, set(labelled))
        return trained(recipe, folder, self.runs / (f"{name}-{number}" if number else name))

    def _chosen(
        self, runs: Sequence[Finished], strategy: str, seed: int, labelled: Sequence[str]
    ) -> list[str]:
        """The unlabelled patients in the order of the strategy."""
        if strategy == "random":
            left = [one.study.patient for one in cases(self.data) if one.study.patient not in labelled]
            return [left[index] for index in at_random(len(left), seed=seed)]
        features: dict[str, NDArray[np.float32]] = {}
        scores: dict[str, float] = {}
        for answers in zip(*(suggested(run, self.data, validation=False) for run in runs), strict=True):
            first = answers[0]
            features[first.patient] = first.features.numpy()
            if first.patient not in labelled:
                scores[first.patient] = _disagreement([one.members.numpy() for one in answers])
        pool = Pool(
            scores=np.array(list(scores.values())),
            features=np.stack([features[patient] for patient in scores]),
            labelled=np.stack([features[patient] for patient in labelled]),
            seed=seed,
        )
        left = list(scores)
        return [left[index] for index in order(strategy, pool)]


def _disagreement(networks: Sequence[NDArray[np.float32]]) -> float:
    """Of the views of one network, or of several networks, each the mean over its views."""
    members = networks[0] if len(networks) == 1 else np.stack([views.mean(axis=0) for views in networks])
    return disagreement(members)


def table(curves: Curves, rounds: Sequence[int]) -> Table:
    """Dice by strategy and number of labels."""
    rows = []
    for way in WAYS:
        mine = [curve for (name, _), curve in curves.items() if name == way.name]
        if mine:
            cells = [spread([mean_dice(c[n]) for c in mine], 3) for n in range(len(rounds))]
            rows.append([way.name, str(len(mine)), *cells])
    return Table(("strategy", "seeds", *(f"{n} labels" for n in rounds)), rows)


def page(curves: Curves, rounds: Sequence[int], docs: Path, *, updates: int = UPDATES) -> None:
    """docs/active_learning.md with its plot."""
    docs.mkdir(parents=True, exist_ok=True)
    plot(curves, rounds, docs / "active_learning.png")
    picture = "![Dice against the number of labels](active_learning.png)"
    text = "\n\n".join(
        [HEAD.format(first=rounds[0], updates=updates), table(curves, rounds).markdown(), picture]
    )
    (docs / "active_learning.md").write_text(text + "\n", encoding="utf-8")


def plot(curves: Curves, rounds: Sequence[int], file: Path) -> None:
    """A line for each strategy, with the range of its seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for way in WAYS:
        mine = [[mean_dice(d) for d in curve] for (name, _), curve in curves.items() if name == way.name]
        if mine:
            by_round = list(zip(*mine, strict=True))
            line = axes.plot(rounds, [fmean(v) for v in by_round], marker="o", label=way.name)
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
    page(bench.finished(), bench.rounds, chosen.docs, updates=chosen.updates)


if __name__ == "__main__":
    main()
