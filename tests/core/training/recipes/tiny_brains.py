"""Tiny settings and runs of the recipes that make an image from an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from medgan_core.training import loop
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Recipe
from medgan_core.training.recipes.cyclegan import CycleGAN
from medgan_core.training.recipes.inpaint import Inpaint
from medgan_core.training.recipes.pix2pix import Pix2pix
from medgan_core.training.recipes.srgan import SRGAN
from medgan_core.training.recipes.transforming import Transforming

SHARED: dict[str, Any] = {
    "updates": 2,
    "batch": 2,
    "warmup": 1,
    "validate_every": 2,
    "size": (32, 32),
    "depth": 6,
    "pixel_mm": 1.0,
    "judge_widths": (4, 8),
}
OWN: dict[type[Transforming], dict[str, Any]] = {
    Pix2pix: {"widths": (4, 8), "source": "T1", "target": "FLAIR"},
    CycleGAN: {"widths": (4, 8), "blocks": 1, "pool": 3, "first": "T1", "second": "FLAIR"},
    SRGAN: {"widths": (8, 4), "blocks": 1, "factor": 2},
    Inpaint: {"widths": (4, 8)},
}


def tiny(cls: type[Transforming], **options: Any) -> Any:
    """A recipe of this class at its smallest."""
    return cls(**{**SHARED, **OWN[cls], **options})


def run(recipe: Recipe, data: Path, out: Path, **options: Any) -> bool:
    """Train it."""
    return loop.train(recipe, data=data, out=out, command="none", workers=0, **options)


def networks_of(recipe: Recipe) -> Networks:
    """Its networks with random weights."""
    torch.manual_seed(0)
    return Networks(recipe.networks(), torch.device("cpu"), mixed=False)


def batch_of(recipe: Recipe, data: Path, count: int = 2, *, validation: bool = False) -> Batch:
    """Its first samples."""
    samples = recipe.samples(data, validation=validation)
    return collate([samples[n] for n in range(count)])


def moment(step: int = 0, updates: int = 10) -> Moment:
    """A moment of a run."""
    return Moment.at(step, updates, seed=(0,), device=torch.device("cpu"))
