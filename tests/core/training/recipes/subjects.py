"""Phantoms of both subjects, recipes small enough for tests, and networks to ask them with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core import io
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Recipe
from medgan_core.volume import Geometry, Volume
from tests.crops import write_crops

CPU = torch.device("cpu")
SMALL = {"updates": 2, "batch": 2, "warmup": 1, "validate_every": 2}
WIDTHS = {2: (8, 8, 8), 3: (4, 4, 4)}


def write_brains(folder: Path, *, patients: int = 4) -> Path:
    """A manifest of FLAIR brains, each with one bright lesion far below its upper half."""
    rows = ["set,patient,visit,key,kind,coverage,split,licence,path"]
    shape = (52, 50, 36)
    axes = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in shape), indexing="ij")
    inside = sum(a**4 for a in axes) < 1
    for number in range(patients):
        rng = np.random.default_rng(number)
        lesion = np.zeros(shape, dtype=np.int16)
        i, j = rng.integers(18, 30, 2)
        lesion[i : i + 5, j : j + 5, 6:10] = 1
        image = inside * (
            500 + 80 * np.sin(7 * axes[0] + number) + 30 * rng.normal(size=shape) + 300 * lesion
        )
        for key, kind, data in (("FLAIR", "image", image.astype(np.float32)), ("lesion", "label", lesion)):
            name = f"b{number}-{key}.nii.gz"
            io.write(Volume(data, Geometry(shape, np.eye(4))), folder / name)
            rows.append(f"brains,brains/b{number},,{key},{kind},brain,train,CC0,{name}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_subjects(folder: Path) -> dict[str, Path]:
    """Data sets by subject."""
    found = {}
    for name, write in (("hippocampus", write_crops), ("patch", write_brains)):
        (folder / name).mkdir()
        found[name] = write(folder / name)
    return found


def judge_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer images and pairs of them in every validation, and smaller crops."""
    place = "medgan_core.training.recipes"
    monkeypatch.setattr(f"{place}.crops.SHAPE", (16, 24, 16))
    monkeypatch.setattr(f"{place}.generation.JUDGED", 32)
    monkeypatch.setattr(f"{place}.generation._PAIRS", 6)
    monkeypatch.setattr(f"{place}.detecting.JUDGED", 16)
    for module in ("reconstruction", "beta_vae"):
        monkeypatch.setattr(f"{place}.{module}.JUDGED", 8)


def moment(step: int = 0, seed: int = 0) -> Moment:
    """A step of a run of ten."""
    return Moment.at(step, 10, seed=(seed,), device=CPU)


def untrained(recipe: Recipe) -> Networks:
    """A recipe's networks with random weights, in fp32 and evaluation mode."""
    torch.manual_seed(0)
    modules = recipe.networks()
    for module in modules.values():
        module.eval()
    return Networks(modules, CPU, mixed=False)
