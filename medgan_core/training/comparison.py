"""Runs beside each other: one table, and one picture with a row for every run."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from medgan_core import results
from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, folder
from medgan_core.training.recipe import Recipe

_NOT_A_METRIC = ("kind", "step", "seconds")
_WIDTH_IN, _TITLE_IN, _TALLEST_IN = 8.0, 0.35, 6.0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What one run came to.

    Args:
        run: name of its folder, with its parent's where two have the same.
        recipe: its name.
        finished: whether it reached its end.
        updates: done, of `planned`.
        planned: updates that its recipe asks for.
        minutes: of training.
        parameters: of each network by name; empty when the recipe is not there (any more).
        per_second: updates, the median over the run; None when none was logged.
        waiting: share of the time that steps waited for data, the mean over the run.
        rollbacks: how often the watch stepped in.
        metric: the validation number that says which weights are best, or "".
        best: its best value, and `best_at` the update it was found at.
        best_at: see `best`.
        last: all numbers of the last validation.
    """

    run: str
    recipe: str
    finished: bool
    updates: int
    planned: int
    minutes: float
    parameters: dict[str, int]
    per_second: float | None
    waiting: float | None
    rollbacks: int
    metric: str
    best: float | None
    best_at: int | None
    last: dict[str, float]

    def row(self) -> dict[str, str]:
        """The run as a line of the table, in words."""
        state = "finished" if self.finished else f"unfinished, of {self.planned}"
        best = "" if self.best is None else f"{self.metric} {self.best:.4g} at {self.best_at}"
        return {
            "run": self.run,
            "recipe": self.recipe,
            "updates": f"{self.updates} ({state})",
            "minutes": f"{self.minutes:.1f}",
            "parameters": ", ".join(f"{k} {_short(v)}" for k, v in self.parameters.items()) or "unknown",
            "updates/s": "" if self.per_second is None else f"{self.per_second:.3g}",
            "waiting": "" if self.waiting is None else f"{100 * self.waiting:.0f} %",
            "rollbacks": str(self.rollbacks),
            "best": best,
            "last": ", ".join(f"{k} {v:.4g}" for k, v in self.last.items()),
        }


def compare(
    runs: Sequence[Path], *, out: Path, recipes: Mapping[str, type[Recipe]] = RECIPES
) -> list[Summary]:
    """Write ``compare.md``, ``compare.json`` and (where matplotlib is installed) ``compare.png``.

    Args:
        runs: folders of runs, finished or not.
        out: folder for the files; is made.
        recipes: those there are, by name.

    Raises:
        UsageError: when a folder holds no run.
    """
    names = [path.resolve().name for path in runs]
    titles = [
        name if names.count(name) == 1 else f"{path.resolve().parent.name}/{name}"
        for name, path in zip(names, runs, strict=True)
    ]
    found = [summary(path, title, recipes) for path, title in zip(runs, titles, strict=True)]
    results.make_folder(out)
    picture = _picture(out / "compare.png", dict(zip(titles, map(newest_picture, runs), strict=True)))
    text = f"# Runs\n\n{table([s.row() for s in found])}\n"
    if picture:
        text += f"\n![The newest pictures of the runs]({picture})\n"
    (out / "compare.md").write_text(text, encoding="utf-8")
    told = {"runs": [asdict(s) for s in found], "picture": picture}
    (out / "compare.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return found


def summary(run: Path, title: str, recipes: Mapping[str, type[Recipe]]) -> Summary:
    """What a run's folder says of it.

    Raises:
        UsageError: when it holds no run.
    """
    resolved = folder.resolved(run)
    train, checks = folder.metrics(run, "train"), folder.metrics(run, "validation")
    done = folder.done(run) if folder.is_done(run) else None
    latest = max([*train, *checks], key=lambda line: line["step"], default={"step": 0, "seconds": 0.0})
    metric, best = _best(recipes.get(resolved["recipe"]), checks)
    paces = [line["per_s"] for line in train if "per_s" in line]
    waits = [line["waiting"] for line in train if "waiting" in line]
    return Summary(
        run=title,
        recipe=resolved["recipe"],
        finished=done is not None,
        updates=int(done["updates"] if done else latest["step"]),
        planned=int(resolved["updates"]),
        minutes=float(done["minutes"] if done else round(latest["seconds"] / 60, 1)),
        parameters=_parameters(run, recipes),
        per_second=statistics.median(paces) if paces else None,
        waiting=statistics.mean(waits) if waits else None,
        rollbacks=len(folder.metrics(run, "watch")),
        metric=metric,
        best=best[metric] if best else None,
        best_at=best["step"] if best else None,
        last={k: v for k, v in checks[-1].items() if k not in _NOT_A_METRIC} if checks else {},
    )


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of the same keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)


def newest_picture(run: Path) -> Path | None:
    """The picture of the run's last validation, if there is one."""
    return max((run / "pictures").glob("*.png"), key=lambda file: file.name, default=None)


def _best(
    recipe: type[Recipe] | None, checks: Sequence[Mapping[str, Any]]
) -> tuple[str, Mapping[str, Any] | None]:
    """The recipe's metric, and the validation where it was best."""
    if recipe is None:
        return "", None
    sign = -1 if recipe.best == "high" else 1
    scored = [line for line in checks if math.isfinite(line.get(recipe.metric, math.nan))]
    return recipe.metric, min(scored, key=lambda line: sign * line[recipe.metric], default=None)


def _parameters(run: Path, recipes: Mapping[str, type[Recipe]]) -> dict[str, int]:
    """Trained numbers of each network."""
    try:
        recipe = folder.rebuilt(run, recipes)
    except UsageError:
        return {}
    with torch.random.fork_rng(devices=[]):
        modules = recipe.networks()
    return {name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}


def _picture(file: Path, pictures: Mapping[str, Path | None]) -> str:
    """Every run's picture under its name, all of one width; the file's name, or "" without matplotlib."""
    try:
        from matplotlib import image
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    shown = {name: None if path is None else image.imread(path) for name, path in pictures.items()}
    heights = [
        _TITLE_IN + (0 if p is None else min(_TALLEST_IN, _WIDTH_IN * p.shape[0] / p.shape[1]))
        for p in shown.values()
    ]
    figure = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained")
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, picture) in zip(axes, shown.items(), strict=True):
        axis.set_axis_off()
        axis.set_title(name if picture is not None else f"{name} (no picture)", loc="left", fontsize=9)
        if picture is not None:
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    figure.savefig(file, dpi=150)
    return file.name


def _short(count: int) -> str:
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
