"""The answer: docs/active_learning.md with its plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.active_learning.bench import WAYS, Curves
from benchmarks.gains import HOW, Gain, gain, shared
from benchmarks.suggesting import Dices, mean_dice
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Table

CHANCE = "random"

HEAD = """\
# Which crops to label first

Simulated annotation of hippocampus crops of the Medical Segmentation Decathlon: {first} crops drawn at random
are labelled, then a strategy chooses the next ones from what the network trained so far says of the others.
Dice on the {patients} val patients, mean over them and both parts, ± the standard deviation over the seeds. A
seed has the same first crops for every strategy, and every network makes {updates} updates, however many
crops are labelled, with strong classical augmentation.

- random: any crops.
- epistemic: the three views of a crop disagree most (mutual information). This is what the server does, which
  has one network.
- epistemic-ensemble: three networks trained from different random weights disagree most. The Dice is that of
  the first of them.
- diversity: the network's features are farthest from those of all labelled crops (greedy k-centre).

    python -m benchmarks.active_learning --data DATA --runs runs/active_learning

The Dice of every patient in every round lies in benchmarks/figures/active_learning."""


def write(curves: Curves, rounds: Sequence[int], docs: Path, *, updates: int) -> None:
    """The page, and the plot beside it.

    Args:
        curves: Dice in every round.
        rounds: labelled crops in each.
        docs: folder of the page.
        updates: of every network.
    """
    docs.mkdir(parents=True, exist_ok=True)
    plot(curves, rounds, docs / "active_learning.png")
    picture = "![Dice against the number of labels](active_learning.png)"
    patients = max((len(next(iter(curve[0].values()))) for curve in curves.values()), default=0)
    head = HEAD.format(first=rounds[0], updates=updates, patients=patients)
    parts = [head, verdict(curves, rounds), table(curves, rounds).markdown(), picture]
    parts += [f"Differences to random crops: {HOW}", gains(curves, rounds).markdown()]
    (docs / "active_learning.md").write_text("\n\n".join(p for p in parts if p) + "\n", encoding="utf-8")


def above_chance(curves: Curves, way: str) -> list[Gain]:
    """What a strategy is above random crops in each round but the first, over the seeds that both have."""
    mine, others = shared(_by_seed(curves, way), _by_seed(curves, CHANCE))
    rounds = zip(zip(*mine, strict=True), zip(*others, strict=True), strict=True)
    return [gain(of_mine, of_others) for of_mine, of_others in rounds][1:]


def verdict(curves: Curves, rounds: Sequence[int]) -> str:
    """Which strategies are better than chance, in a list of sentences."""
    said = []
    for way in WAYS:
        found = list(zip(rounds[1:], above_chance(curves, way.name), strict=False))
        if way.name == CHANCE or not found:
            continue
        told = [
            _told("better", found, lambda one: one.low > 0),
            _told("worse", found, lambda one: one.high < 0),
        ]
        differs = "; ".join(words for words in told if words) or "no difference beyond the interval"
        said.append(f"- {way.name}, against random crops: {differs}.")
    if of_chance := list(_by_seed(curves, CHANCE).values()):
        first, last = ([curve[n] for curve in of_chance] for n in (0, -1))
        more = gain(last, first).mean
        said.append(f"- {rounds[-1]} random crops in place of {rounds[0]} change Dice by {more:+.3f}.")
    return "\n".join(said)


def _told(word: str, found: Sequence[tuple[int, Gain]], wanted: Callable[[Gain], bool]) -> str:
    """In which rounds a strategy is so."""
    rounds = " and ".join(f"{n} labels ({one.mean:+.3f})" for n, one in found if wanted(one))
    return f"{word} with {rounds}" if rounds else ""


def table(curves: Curves, rounds: Sequence[int]) -> Table:
    """Dice by strategy and number of labels."""
    rows = []
    for way in WAYS:
        mine = _by_seed(curves, way.name).values()
        if mine:
            cells = [spread([mean_dice(c[n]) for c in mine], 3) for n in range(len(rounds))]
            rows.append([way.name, str(len(mine)), *cells])
    return Table(("strategy", "seeds", *(f"{n} labels" for n in rounds)), rows)


def gains(curves: Curves, rounds: Sequence[int]) -> Table:
    """What each strategy is above random crops."""
    found = {way.name: above_chance(curves, way.name) for way in WAYS if way.name != CHANCE}
    rows = [[name, *map(str, mine)] for name, mine in found.items() if mine]
    return Table(("above random", *(f"{n} labels" for n in rounds[1:])), rows)


def _by_seed(curves: Curves, way: str) -> dict[int, list[Dices]]:
    return {seed: curve for (name, seed), curve in curves.items() if name == way}


def plot(curves: Curves, rounds: Sequence[int], file: Path) -> None:
    """A line for each strategy, with the range of its seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for way in WAYS:
        mine = [[mean_dice(dices) for dices in curve] for curve in _by_seed(curves, way.name).values()]
        if mine:
            by_round = list(zip(*mine, strict=True))
            line = axes.plot(rounds, [fmean(v) for v in by_round], marker="o", label=way.name)
            low, high = [min(v) for v in by_round], [max(v) for v in by_round]
            axes.fill_between(rounds, low, high, alpha=0.15, color=line[0].get_color())
    axes.set_xlabel("labelled crops")
    axes.set_ylabel("Dice, val patients")
    axes.set_xscale("log", base=2)
    axes.set_xticks(rounds, [str(n) for n in rounds])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)
