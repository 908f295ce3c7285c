"""Painted slices beside those of patients: lines of a table, and figures of a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks import card_figures
from benchmarks.painting.slices import Rows, Slices
from benchmarks.systems.kernel import Distance, grouped_kernel_distance
from medgan_core.card import Figure
from medgan_core.metrics.copies import find_copies

SHARES = {"simulated, not refined": 0.0, "refined": 1.0}
"""Kinds of painted images, with the setting ``refine``."""


@dataclass(frozen=True)
class Line:
    """What is said of one contrast's images.

    Args:
        contrast: of the images.
        images: which ones they are.
        kid: to the slices of the patients left out.
        copies: copy rate, see `metrics.copies`; that of the patients left out is 0.05 at most.
        alike: MS-SSIM of two samples of one map, or of two patients.
        dices: with the map, the mean over the samples of each.
        heads: patients, or maps, whose images were compared.
        slices: of all of them.
    """

    contrast: str
    images: str
    kid: Distance
    copies: float | None
    alike: float
    dices: tuple[float, ...]
    heads: int
    slices: int

    def __str__(self) -> str:
        kid = f"{self.kid.value:.3f} ({self.kid.low:.3f} to {self.kid.high:.3f})"
        copies = "" if self.copies is None else f"{self.copies:.3f}"
        score = f"{fmean(self.dices):.3f}" if self.dices else ""
        return f"| {self.contrast} | {self.images} | {kid} | {copies} | {self.alike:.3f} | {score} |"


def compared(contrast: str, known: dict[bool, Slices], made: dict[str, Slices]) -> list[Line]:
    """A line for the other patients, and one for each kind of painted images."""
    left, others = known[True], known[False]
    mean, spread = left.features.mean(axis=0), left.features.std(axis=0) + 1e-6

    def scaled(slices: Slices) -> Rows:
        return np.asarray((slices.features - mean) / spread)

    def line(name: str, slices: Slices, alike: float, copies: float | None) -> Line:
        kid = grouped_kernel_distance(
            scaled(left), np.array(left.owners), scaled(slices), np.array(slices.owners), seed=0
        )
        dices = tuple(fmean(samples) for samples in slices.dices.values())
        return Line(contrast, name, kid, copies, alike, dices, len(slices.middles), len(slices.owners))

    lines = [line("other patients", others, others.alike_between(), None)]
    for name, slices in made.items():
        report = find_copies(scaled(slices), scaled(others), scaled(left), patients=np.array(others.owners))
        lines.append(line(name, slices, slices.alike_within(), report.rate))
    return lines


def figures(lines: Sequence[Line], command: str, segmenter: str) -> list[Figure]:
    """What the card says of the refined images of one contrast; `segmenter` is who found the map in them."""
    by_name = {line.images: line for line in lines}
    floor, plain, refined = by_name["other patients"], *(by_name[name] for name in SHARES)
    split = "label maps listed as val, against the patients left out"
    found = [
        Figure(
            name=f"KID, {refined.contrast}",
            value=round(refined.kid.value, 3),
            unit=f"features of brain-mr-translate, {refined.slices} slices",
            n=refined.heads,
            split=split,
            command=command,
            baseline=f"not refined: {plain.kid.value:.3g}; other patients: {floor.kid.value:.3g}",
        ),
        Figure(
            name=f"Copy rate, {refined.contrast}",
            value=round(refined.copies or 0.0, 3),
            unit=f"share of {refined.slices} slices",
            n=refined.heads,
            split=split,
            command=command,
            baseline="patients left out: 0.05 at most",
        ),
        Figure(
            name=f"MS-SSIM of two samples of a map, {refined.contrast}",
            value=round(refined.alike, 3),
            unit="1: the same",
            n=refined.heads,
            split="label maps listed as val",
            command=command,
            baseline=f"two patients: {floor.alike:.3g}",
        ),
    ]
    if refined.dices:
        found.append(
            card_figures.figure(
                f"Dice of a suggestion with the map, {refined.contrast}",
                refined.dices,
                unit=f"mean over labels; by {segmenter}",
                split="label maps listed as val",
                command=command,
                baseline=f"not refined: {fmean(plain.dices):.3g}",
            )
        )
    return found
