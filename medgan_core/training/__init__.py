"""Training and evaluation: recipes by name and the two verbs of the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from medgan_core.errors import UsageError
from medgan_core.monitor import Progress
from medgan_core.training import loop
from medgan_core.training.recipe import Recipe, configure
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.gate import Gate
from medgan_core.training.recipes.translate import Translate

RECIPES: dict[str, type[Recipe]] = {cls.name: cls for cls in (Translate, Denoise, Gate)}


def train(
    recipe: str,
    *,
    data: Path,
    out: Path,
    settings: Mapping[str, str] | None = None,
    resume: bool = False,
    dry_run: bool = False,
    max_minutes: float | None = None,
    device: str = "auto",
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> str:
    """Train a recipe; see `loop.train`.

    Args:
        recipe: its name in `RECIPES`.
        data: folder with manifest.csv.
        out: run folder.
        settings: recipe settings as text.
        resume: go on with the run in the folder.
        dry_run: only return the resolved recipe.
        max_minutes: stop, resumable, after so long.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called at every update.
        cancel: polled at every update.

    Returns:
        The resolved recipe as JSON (dry run), or one sentence that says where the run stands.

    Raises:
        UsageError: on an unknown recipe or setting.
    """
    if recipe not in RECIPES:
        raise UsageError(
            f"There is no recipe called {recipe!r}",
            expected="one of " + ", ".join(RECIPES),
            got=recipe,
            action="choose a recipe from the list",
        )
    settings = dict(settings or {})
    resolved = configure(RECIPES[recipe], settings)
    if dry_run:
        return json.dumps({"recipe": recipe, **dataclasses.asdict(resolved)}, indent=2)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = " ".join(f"--set {k}={v}" for k, v in settings.items())
    command = f"medgan train {recipe} --data DATA --out {out.name} {chosen}".strip()
    finished = loop.train(
        resolved,
        data=data,
        out=out,
        command=command,
        device=device,
        resume=resume,
        max_minutes=max_minutes,
        progress=progress,
        cancel=cancel,
    )
    if finished:
        return f"finished: the model is in {out / 'models' / recipe}"
    return "stopped before the end: go on with --resume"
