"""The answer: docs/augmentation.md with its plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.augmentation.plan import LABELLED, MAIN, STRONG, TRIED, Cell
from benchmarks.suggesting import Dices, mean_dice
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Table

WANTED_GAIN, WANTED_SHARE = 0.02, 0.9
Found = Mapping[Cell, Dices]

HEAD = """\
# What generated data bring

A small `hippocampus-suggest` network is trained on few labelled hippocampus crops of the Medical Segmentation
Decathlon and judged on the 22 val patients: Dice, mean over the anterior and posterior part. Each cell is the
mean over the patients, ± the standard deviation over the seeds. A seed chooses the labelled crops as well. In
(c) and (d) a 3D SPADE saw the same labelled crops alone, or also the unlabelled images, with the labels that
the segmentation of (b) suggests for them. Its maps are those of the training crops, deformed towards each
other. All segmentations make the same number of updates, curricula and those named longer twice as many.

    python -m benchmarks.augmentation --data DATA --runs runs/augmentation

The Dice of every patient in every cell lies in benchmarks/figures/augmentation.
"""


@dataclass(frozen=True)
class Gain:
    """How an arm differs from another one, over patients.

    Args:
        mean: difference of the Dice.
        low: end of its 95 % interval over patients drawn with replacement.
        high: end of it.
        p: of Wilcoxon's signed-rank test, two-sided.
        patients: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    patients: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f}), p = {self.p:.2g}"


def patients(dices: Iterable[Dices]) -> NDArray[np.float64]:
    """(n,) Dice of each patient, mean over labels and seeds."""
    return np.asarray(np.mean([np.mean(list(one.values()), axis=0) for one in dices], axis=0))


def gain(mine: Iterable[Dices], others: Iterable[Dices]) -> Gain:
    """Paired over patients; each patient is the mean over the seeds."""
    from scipy.stats import wilcoxon

    difference = patients(mine) - patients(others)
    drawn = np.random.default_rng(0).integers(len(difference), size=(2000, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), [0.025, 0.975])
    p = float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    return Gain(float(difference.mean()), float(low), float(high), p, len(difference))


def of(found: Found, labelled: int, arm: str) -> list[Dices]:
    """The cells of an arm, of those seeds that are there for it."""
    return [dices for cell, dices in found.items() if (cell.labelled, cell.arm.name) == (labelled, arm)]


def paired(found: Found, labelled: int, arm: str, baseline: str = STRONG) -> Gain | None:
    """The gain over the seeds that both have; None without any."""
    mine, other = (
        {cell.seed: d for cell, d in found.items() if (cell.labelled, cell.arm.name) == (labelled, name)}
        for name in (arm, baseline)
    )
    both = sorted(set(mine) & set(other))
    return gain([mine[s] for s in both], [other[s] for s in both]) if both else None


def table(found: Found) -> Table:
    """Dice by arm and number of labels."""
    rows = [[arm.title, *(_cell(of(found, n, arm.name)) for n in LABELLED)] for arm in MAIN]
    return Table(("trained on", *(_labels(n) for n in LABELLED)), rows)


def gains(found: Found) -> Table:
    """What each arm is above (b)."""
    rows = [
        [arm.title, *(str(paired(found, n, arm.name) or "-") for n in LABELLED)]
        for arm in MAIN
        if arm.name != STRONG
    ]
    return Table(("above (b)", *(_labels(n) for n in LABELLED)), rows)


def tried(found: Found) -> Table:
    """The variants, with the fewest labels."""
    n = LABELLED[0]
    rows = [
        [a.title, _cell(of(found, n, a.name)), str(paired(found, n, a.name, a.baseline) or "-")]
        for a in TRIED
    ]
    return Table((f"tried with {_labels(n)}, one seed", "Dice", "above (b) of as many updates"), rows)


def verdict(found: Found) -> str:
    """Whether what was hoped for came true, in sentences."""
    said = []
    for name, words in (("pairs", "the same crops"), ("pairs-unlabelled", "also the unlabelled images")):
        if one := paired(found, LABELLED[0], name):
            reached = "reaches" if one.mean >= WANTED_GAIN else "does not reach"
            said.append(
                f"With {_labels(LABELLED[0])}, pairs from a generator that saw {words} change Dice by "
                f"{one.mean:+.3f}; this {reached} the aim of {WANTED_GAIN:+.2f}."
            )
    few, alone, full = of(found, LABELLED[0], STRONG), of(found, 0, "alone"), of(found, 0, STRONG)
    if few and full:
        room = fmean(map(mean_dice, full)) - fmean(map(mean_dice, few))
        said.append(f"All real crops in place of those {LABELLED[0]} change the Dice of (b) by {room:+.3f}.")
    if alone and full:
        share = fmean(map(mean_dice, alone)) / fmean(map(mean_dice, full))
        reached = "reaches" if share >= WANTED_SHARE else "does not reach"
        said.append(
            f"Generated pairs alone give {share:.0%} of the Dice of all real ones; this {reached} the aim "
            f"of {WANTED_SHARE:.0%}."
        )
    return " ".join(said)


def write(found: Found, docs: Path) -> None:
    """The page, and the plot beside it."""
    docs.mkdir(parents=True, exist_ok=True)
    plot(found, docs / "augmentation.png")
    parts = [HEAD, verdict(found), table(found).markdown(), gains(found).markdown(), tried(found).markdown()]
    parts.insert(3, "![Dice against the number of labels](augmentation.png)")
    parts.insert(5, "Differences to (b) over patients, with 95 % intervals and Wilcoxon's signed-rank test:")
    (docs / "augmentation.md").write_text("\n\n".join(p for p in parts if p) + "\n", encoding="utf-8")


def plot(found: Found, file: Path) -> None:
    """Dice against the number of labels, a line for each arm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for arm in MAIN:
        line = [(x, [mean_dice(d) for d in of(found, n, arm.name)]) for x, n in enumerate(LABELLED)]
        there = [(x, fmean(v), float(np.std(v))) for x, v in line if v]
        if there:
            axes.errorbar(*zip(*there, strict=True), marker="o", capsize=3, label=arm.title)
    axes.set_xticks(range(len(LABELLED)), [_labels(n) for n in LABELLED])
    axes.set_ylabel("Dice, val patients")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=120)


def _cell(dices: list[Dices]) -> str:
    return spread([mean_dice(one) for one in dices], 3) if dices else "-"


def _labels(labelled: int) -> str:
    return f"{labelled} labels" if labelled else "all labels"
