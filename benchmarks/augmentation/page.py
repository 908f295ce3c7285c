"""The answer: docs/augmentation.md with its plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.augmentation.bench import GENERATOR_UPDATES, UPDATES
from benchmarks.augmentation.drawing import Drawing
from benchmarks.augmentation.plan import LABELLED, MAIN, STRONG, TRIED, Cell
from benchmarks.gains import HOW, Gain, gain, patients, shared
from benchmarks.suggesting import Dices, mean_dice
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Table

WANTED_GAIN, WANTED_SHARE = 0.02, 0.9
Found = Mapping[Cell, Dices]

HEAD = f"""\
# What generated data bring

A small `hippocampus-suggest` network is trained on few labelled hippocampus crops of the Medical Segmentation
Decathlon and judged on the 22 val patients: Dice, mean over the anterior and posterior part. Each cell is the
mean over the patients, ± the standard deviation over the seeds. A seed chooses the labelled crops as well. In
(c) and (d) a 3D SPADE saw the same labelled crops alone, or also the unlabelled images, with the labels that
the segmentation of (b) suggests for them. Its maps are those of the training crops, deformed towards each
other; with 8 labels about one in eight is a patient's own map, not deformed.

All segmentations make {UPDATES} updates, curricula and those named longer twice as many. A generator makes
{GENERATOR_UPDATES} updates, few for a GAN: it is what two cores have time for. It draws
{Drawing().count} pairs once, before the segmentation is trained, and each is augmented like a real crop.

    python -m benchmarks.augmentation --data DATA --runs runs/augmentation

The Dice of every patient in every cell lies in benchmarks/figures/augmentation."""


def of(found: Found, labelled: int, arm: str) -> dict[int, Dices]:
    """The cells of an arm that are there, by seed."""
    return {c.seed: dices for c, dices in found.items() if (c.labelled, c.arm.name) == (labelled, arm)}


def paired(found: Found, labelled: int, arm: str, baseline: str = STRONG) -> Gain | None:
    """The gain over the seeds that both have; None without any, and of the baseline itself."""
    mine, others = shared(of(found, labelled, arm), of(found, labelled, baseline))
    return gain(mine, others) if mine and arm != baseline else None


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


def tried(found: Found) -> Table | None:
    """The variants that are there, with the fewest labels; None without any."""
    n = LABELLED[0]
    rows = [
        [a.title, _cell(of(found, n, a.name)), str(paired(found, n, a.name, a.baseline) or "-")]
        for a in TRIED
        if of(found, n, a.name)
    ]
    if not rows:
        return None
    return Table((f"tried with {_labels(n)}, one seed", "Dice", "above (b) of as many updates"), rows)


def verdict(found: Found) -> str:
    """Whether what was hoped for came true, in a list of sentences."""
    said = [*_of_pairs(found), *_of_room(found), *_of_pairs_alone(found), *_of_what_won(found)]
    return "\n".join(f"- {sentence}" for sentence in said)


def _of_pairs(found: Found) -> Iterator[str]:
    for name, words in (("pairs", "the same crops"), ("pairs-unlabelled", "also the unlabelled images")):
        for labelled in LABELLED:
            one = paired(found, labelled, name)
            if one is None:
                continue
            effect = "raise" if one.low > 0 else "lower" if one.high < 0 else "do not change"
            said = f"With {_labels(labelled)}, pairs from a generator that saw {words} {effect} Dice: {one}"
            reached = "reaches" if one.mean >= WANTED_GAIN else "does not reach"
            aim = f"; this {reached} the aim of {WANTED_GAIN:+.2f}" if labelled == LABELLED[0] else ""
            yield f"{said}{aim}."


def _of_room(found: Found) -> Iterator[str]:
    few, full = of(found, LABELLED[0], STRONG), of(found, 0, STRONG)
    if set(few) & set(full):
        room = gain(*shared(full, few)).mean
        yield f"All real crops in place of those {LABELLED[0]} change the Dice of (b) by {room:+.3f}."


def _of_pairs_alone(found: Found) -> Iterator[str]:
    few, alone, full = of(found, LABELLED[0], STRONG), of(found, 0, "alone"), of(found, 0, STRONG)
    if not set(alone) & set(full):
        return
    made, real = (float(patients(one).mean()) for one in shared(alone, full))
    reached = "reaches" if made / real >= WANTED_SHARE else "does not reach"
    yield (
        f"Generated pairs alone give {made / real:.0%} of the Dice of all real ones; this {reached} the aim "
        f"of {WANTED_SHARE:.0%}."
    )
    if few and made < (least := float(patients(list(few.values())).mean())):
        yield f"That is less than {LABELLED[0]} real crops give with (b): {made:.3f} instead of {least:.3f}."


def _of_what_won(found: Found) -> Iterator[str]:
    full = 0
    compared = [(a, n, paired(found, n, a.name, a.baseline)) for a in (*MAIN, *TRIED) for n in LABELLED]
    there = [(arm, n, one) for arm, n, one in compared if one]
    better = [(arm, n, one) for arm, n, one in there if one.low > 0]
    if better:
        named = [f"{a.title}, {_labels(n)}{', one seed' if one.seeds == 1 else ''}" for a, n, one in better]
        yield f"Above (b) by more than the interval: {'; '.join(named)}."
    if any(n == full for _, n, _ in there) and not any(n == full for _, n, _ in better):
        yield (
            f"With {_labels(full)}, from which the shipped `hippocampus-suggest` learns, nothing is above "
            "(b) by more than its interval, so it is trained with (b)."
        )


def write(found: Found, docs: Path) -> None:
    """The page, and the plot beside it."""
    docs.mkdir(parents=True, exist_ok=True)
    plot(found, docs / "augmentation.png")
    picture = "![Dice against the number of labels](augmentation.png)"
    parts = [HEAD, verdict(found), table(found).markdown(), picture]
    parts += [f"Differences to (b): {HOW}", gains(found).markdown()]
    if found_tried := tried(found):
        parts += [_noise(found), found_tried.markdown()]
    (docs / "augmentation.md").write_text("\n\n".join(p for p in parts if p) + "\n", encoding="utf-8")


def _noise(found: Found) -> str:
    """How much a seed alone changes, which what was tried once must be seen beside."""
    levels = [mean_dice(one) for one in of(found, LABELLED[0], STRONG).values()]
    if len(levels) < 2:
        return ""
    return (
        "What else was tried, each once, with intervals over patients alone. Another seed of (b) with as "
        f"many labels, and with it other labelled crops, has a standard deviation of {stdev(levels):.3f}."
    )


def plot(found: Found, file: Path) -> None:
    """Dice against the number of labels, a line for each arm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for arm in MAIN:
        line = [(x, [mean_dice(d) for d in of(found, n, arm.name).values()]) for x, n in enumerate(LABELLED)]
        there = [(x, fmean(v), stdev(v) if len(v) > 1 else 0.0) for x, v in line if v]
        if there:
            axes.errorbar(*zip(*there, strict=True), marker="o", capsize=3, label=arm.title)
    axes.set_xticks(range(len(LABELLED)), [_labels(n) for n in LABELLED])
    axes.set_ylabel("Dice, val patients")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=120)


def _cell(dices: Mapping[int, Dices]) -> str:
    return spread([mean_dice(one) for one in dices.values()], 3) if dices else "-"


def _labels(labelled: int) -> str:
    return f"{labelled} labels" if labelled else "all labels"
