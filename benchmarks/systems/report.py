"""Writes docs/systems.md: the overview, then every question with its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.systems.judged import PROTOCOL, Bench
from benchmarks.systems.overview import overview
from benchmarks.systems.plan import Planned
from benchmarks.systems.section import Part, Picture, Section, Table

Question = Callable[[Bench], Section]

PICTURES = Path("pictures") / "systems"

INTRODUCTION = """\
Every generative system of the project, trained on real volumes by one command on two CPU cores, and judged on
patients that its training never saw. This page is written by `make systems`, which trains what is not
trained yet, judges and writes; no figure in it is typed. The trainings are small: they show that the
systems work and how they compare here, not how good each could become (`--preset gpu` trains large ones).

Behind every command below stand `--data DATA --out runs/systems/NAME --preset cpu`. Minutes are those of one
core that was shared with other work. Pictures show generated images, or results on simulated heads and on the
MNI152 template; none shows the scan of a patient."""


def write(bench: Bench, plan: Sequence[Planned], questions: Sequence[Question], out: Path) -> Path:
    """Judge, and write ``systems.md``, ``pictures/systems/*.png`` and ``RUNS/judged/systems.json``.

    Args:
        bench: data and runs.
        plan: trainings of the overview.
        questions: in the order of the page.
        out: folder of the page.

    Returns:
        The page.
    """
    sections = [question(bench) for question in questions]
    told: dict[str, str] = {}
    for section in sections:
        for run, text in section.overview.items():
            told[run] = f"{told[run]}; {text}" if run in told else text
    pictures = out / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    parts = ["# Systems", INTRODUCTION, overview(plan, bench.runs, told).markdown()]
    for section in sections:
        parts += [f"## {section.title}", *(_text(part, pictures) for part in section.parts)]
    page = out / "systems.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    figures = {section.title: section.figures for section in sections}
    kept = bench.runs.folder / "judged" / "systems.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"protocol": PROTOCOL, "sections": figures}, indent=1), encoding="utf-8")
    return page


def _text(part: Part, pictures: Path) -> str:
    if isinstance(part, Table):
        return part.markdown()
    if isinstance(part, Picture):
        part.draw(pictures / f"{part.name}.png")
        return f"![{part.caption}]({(PICTURES / part.name).as_posix()}.png)\n\n{part.caption}"
    return part
