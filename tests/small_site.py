"""A small site: phantom heads in files named as people name them, and a tiny model published there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medgan_core import io, registry
from medgan_core.card import ModelCard
from medgan_core.physics.mr_signal import Contrast
from medgan_core.physics.simulation import Head, signals, tissue_map
from medgan_core.training.recipe import Supervised
from medgan_core.volume import Geometry, Volume
from tests.models import TRAINING
from tests.phantom import head_labels

CONTRASTS: tuple[Contrast, ...] = ("T1", "T2", "FLAIR")


def write_site(folder: Path, *, patients: int = 3, contrasts: Sequence[Contrast] = CONTRASTS) -> Path:
    """``p0_T1.nii.gz`` and so on: heads of 32 to 36 voxels a side, all on one grid, without a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = head_labels((32, 36, 32))
    geometry = Geometry(labels.shape, np.diag([4.5, 4.5, 4.5, 1.0]))
    tissue = torch.from_numpy(tissue_map(labels))
    for number in range(patients):
        generator = torch.Generator().manual_seed(number)
        head = Head.draw(np.random.default_rng(number))
        images = signals(tissue, head, contrasts, generator, 0.02)
        for key, image in zip(contrasts, images, strict=True):
            io.write(Volume((1000 * image).numpy(), geometry), folder / f"p{number}_{key}.nii.gz")
    return folder


def publish_toy(models: Path, recipe: Supervised, *, name: str) -> ModelCard:
    """A tiny model of a recipe as version 1.0.0 below the folder of models, in use; no suitability gate."""
    torch.manual_seed(0)
    card = recipe.card(replace(TRAINING, recipe=recipe.name))
    assert card is not None
    card = replace(card, name=name, version="1.0.0", domain=replace(card.domain, gate=""))
    card = registry.save(models / name / card.version, card, recipe.network())
    (models / name / registry.POINTER).write_text(card.version, encoding="utf-8")
    return card
