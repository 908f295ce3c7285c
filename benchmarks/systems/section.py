"""What every question of docs/systems.md is answered with: sentences, tables, pictures, and plain figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.training.journal import write_grid


@dataclass(frozen=True)
class Table:
    """A table in words; `columns` are its heads, every row has as many cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Args:
        name: of the file, without its ending; unique over the page.
        caption: what it shows, a sentence.
        draw: writes the PNG to the path it is given.
    """

    name: str
    caption: str
    draw: Callable[[Path], None]


Part: TypeAlias = str | Table | Picture


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question and its answer.

    Args:
        title: heading.
        parts: sentences (Markdown), tables and pictures in the order of the page.
        overview: by a run's name what the first table says of it: its main figure or two, in words.
        figures: all numbers as plain JSON types.
    """

    title: str
    parts: Sequence[Part]
    overview: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)


def waiting(title: str, missing: Mapping[str, str]) -> Section:
    """The section of a question whose runs are not there: says which, and why.

    Args:
        title: heading.
        missing: by a run's name why it cannot be judged, as `runs.Runs.missing` gives it.
    """
    return Section(title=title, parts=not_judged(missing))


def not_judged(missing: Mapping[str, str]) -> list[str]:
    """One sentence that says which runs are left out and why; none when there are none."""
    reasons = {why: [name for name in missing if missing[name] == why] for why in missing.values()}
    told = [", ".join(f"`{name}`" for name in names) + f" {why}" for why, names in reasons.items()]
    return [f"Not judged: {'; '.join(told)}."] if told else []


def image_rows(name: str, caption: str, rows: Sequence[tuple[str, Tensor]]) -> Picture:
    """Images in rows, a label on the left of each.

    Args:
        name: see `Picture`.
        caption: see `Picture`.
        rows: (label, images (n, h, w) in 0 to 1), rows of one size.
    """

    def draw(file: Path) -> None:
        from matplotlib.figure import Figure

        tallest = max(images.shape[1] for _, images in rows)
        widest = max(len(images) * images.shape[2] for _, images in rows)
        figure = Figure(figsize=(2 + widest / 50, len(rows) * (tallest / 50 + 0.05)), layout="constrained")
        axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
        for axis, (label, images) in zip(axes, rows, strict=True):
            strip = torch.cat([functional.pad(i, (0, 1), value=1.0) for i in images.clamp(0, 1)], dim=1)
            axis.imshow(strip.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
            axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
        figure.savefig(file, dpi=100, metadata={"Software": None})

    return Picture(name, caption, draw)


def image_grid(name: str, caption: str, grid: Tensor) -> Picture:
    """Images (rows, columns, h, w) in 0 to 1 with thin lines between."""
    return Picture(name, caption, lambda file: write_grid(grid, file))


def upright(images: Tensor, count: int) -> Tensor:
    """The first images as they are shown, (count, h, w): middle slices of volumes, anterior up.

    Args:
        images: (n, c, i, j) or (n, c, i, j, k); the first channel is shown.
        count: how many.
    """
    flat = images[:count, 0].float()
    if flat.ndim == 4:
        flat = flat[..., flat.shape[-1] // 2]
    return flat.transpose(1, 2).flip(1)
