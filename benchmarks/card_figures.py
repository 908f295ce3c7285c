"""Figures of a benchmark into a model's card, beside those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from medgan_core.card import Figure, ModelCard
from medgan_core.registry import CARD


def figure(
    name: str, values: Sequence[float], *, unit: str, split: str, command: str, baseline: str = ""
) -> Figure:
    """The mean of one value per patient or scan, with its spread."""
    spread = round(stdev(values), 4) if len(values) > 1 else None
    return Figure(
        name=name,
        value=round(fmean(values), 4),
        unit=unit,
        n=len(values),
        split=split,
        command=command,
        spread=spread,
        baseline=baseline,
    )


def write(model: Path, figures: Sequence[Figure]) -> None:
    """Put figures into the card of a model's folder, in place of those of the same name and split."""
    card = ModelCard.load(model / CARD)
    new = {(f.name, f.split) for f in figures}
    kept = [f for f in card.figures if (f.name, f.split) not in new]
    replace(card, figures=(*kept, *figures)).save(model / CARD)
