"""The first table of docs/systems.md: one row for every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.systems.plan import Planned
from benchmarks.systems.runs import Runs
from benchmarks.systems.section import Table
from medgan_core.training import RECIPES, folder
from medgan_core.training.recipe import configure
from medgan_core.training.recipes.pictures import Pictures

CROPS, BRAINS, PATCHES = "hippocampus crops", "brain slices", "brain patches"

USES: dict[str, tuple[str, str]] = {
    "ae": (CROPS, "compression, denoising"),
    "beta-vae": (CROPS, "samples, and ways between images"),
    "gan": (CROPS, "images from nothing: the plain game, to compare with"),
    "dcgan": (CROPS, "images from nothing, fast"),
    "wgan": (CROPS, "images from nothing: the first critic, to compare with"),
    "wgan-gp": (CROPS, "images from nothing, by the first critic with a penalty"),
    "sngan": (CROPS, "images from nothing on few data"),
    "progressive": (CROPS, "images from nothing at high resolution"),
    "gedgan": (CROPS, "images from nothing: this project's game, an object of study"),
    "flow": (CROPS, "images from nothing, from a class or from labels"),
    "spade": (CROPS, "pairs of image and labels"),
    "segmentation": (CROPS, "downstream score; suggestions for annotation"),
    "pix2pix": (BRAINS, "translation with pairs"),
    "cyclegan": (BRAINS, "translation without pairs"),
    "srgan": (BRAINS, "thick slices to thin ones"),
    "inpaint": (BRAINS, "repair of holes"),
    "f-anogan": (PATCHES, "where a patch is unusual (at the level of chance here)"),
    "dae": (PATCHES, "where a slice is unusual"),
    "classifier": (PATCHES, "downstream score"),
}
"""By recipe: what it is trained on here, and what it is meant for."""

COLUMNS = ("run", "command", "preset", "data", "updates", "minutes", "parameters", "figures", "meant for")


def overview(plan: Sequence[Planned], runs: Runs, figures: Mapping[str, str]) -> Table:
    """One row for every training of the plan that stands for a system.

    Args:
        plan: the trainings.
        runs: that are judged.
        figures: by run, the main ones in words.
    """
    return Table(COLUMNS, [_row(p, runs, figures.get(p.name, "")) for p in plan])


def _row(planned: Planned, runs: Runs, figures: str) -> list[str]:
    data, purpose = _use(planned)
    row = [planned.name, f"`{planned.short()}`"]
    if missing := runs.missing([planned.name]):
        return [*row, "cpu", data, "", "", "", missing[planned.name], purpose]
    took = runs.summary(planned.name)
    preset = "gpu" if "--preset gpu" in folder.done(runs.path(planned.name))["command"] else "cpu"
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in took.parameters.items() if count)
    back = f" ({took.rollbacks} rollbacks)" if took.rollbacks else ""
    return [*row, preset, data, f"{took.updates}{back}", f"{took.minutes:.0f}", sizes, figures, purpose]


def _use(planned: Planned) -> tuple[str, str]:
    data, purpose = USES[planned.recipe]
    recipe = configure(RECIPES[planned.recipe], planned.settings)
    patches = isinstance(recipe, Pictures) and recipe.subject == "patch"
    fold = int(getattr(recipe, "fold", -1))
    left_out = "listed as val" if fold < 0 else f"of fold {'ABC'[fold]}"
    return f"{PATCHES if patches else data}, without the patients {left_out}", purpose
