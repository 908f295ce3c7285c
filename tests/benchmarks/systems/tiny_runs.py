"""The planned trainings on phantom crops, cut down to two updates of the smallest networks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmarks.systems import plan
from medgan_core import training

_SHORT = {"updates": "2", "batch": "2", "validate_every": "5"}
_FOUR, _THREE = "4,4,4,8", "4,4,8"


def train_tiny(names: Collection[str], *, data: Path, runs: Path) -> None:
    """Train the runs of these names below the folder of all runs."""
    for planned in plan.everything():
        if planned.name in names:
            widths = _THREE if planned.settings.get("widths", "").count(",") == 2 else _FOUR
            settings = {**planned.settings, **_SHORT, "widths": widths}
            training.train(
                planned.recipe,
                data=data,
                out=runs / planned.name,
                settings=settings,
                preset="cpu",
                workers=0,
            )
