"""Real brains with the tissue that a model finds in them, for the recipes that learn texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.mapped_slabs import Mapped
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.studies import heads, prepare
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.errors import InputError, UsageError
from medgan_core.networks.slab_segmenter import SlabSegmenter
from medgan_core.physics.simulation import tissue_map
from medgan_core.registry import Model, Registry
from medgan_core.training.recipes.suggesting import AXES, viewed

_AT_ONCE = 16
_THICK = (2,)
"""Axes that studies with thick slices are looked at along."""


def mapped_heads(data: Path, *, segmenter: str, fold: int) -> list[Mapped]:
    """Real brains to train on, preprocessed as the model wants it, each with the tissue that it finds there.

    Args:
        data: a manifest's folder, or a pack.
        segmenter: name of a model that suggests FreeSurfer labels on one image.
        fold: cross-validation fold whose patients are left out; -1 leaves none out.

    Raises:
        UsageError: when there is no such model, or it is of another kind.
        InputError: when it finds a brain in none of them.
    """
    held, model = open_training_set(data), Registry().load(segmenter)
    everyone = heads(held)
    out = folds(everyone)[fold] if fold >= 0 else set()
    found = []
    for study in everyone:
        if study.patient not in out:
            prepared = prepare(held.case(study, CONTRASTS), model.card.preprocess)
            axes = AXES if prepared.isotropic else _THICK
            tissue = _tissue(model, prepared.array[prepared.available.index(True)], axes)
            if tissue.any():
                found.append(Mapped(prepared.array, prepared.available, tissue, prepared.isotropic))
    if not found:
        raise InputError(
            f"{segmenter} found no brain to learn texture from",
            expected="at least one study with a brain",
            got=f"{len(everyone)} studies without one",
            action="train without it (segmenter=), or choose a model that knows the brain",
        )
    return found


def _tissue(model: Model, image: NDArray[np.float16], axes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Tissue numbers of an image (i, j, k); sides do not matter here."""
    network, card = model.network.eval(), model.card
    if not isinstance(network, SlabSegmenter) or len(card.inputs) != 1:
        raise UsageError(
            f"The model {card.name!r} does not tell tissue on one image",
            expected="a model that the recipe brain-suggest trained",
            got=f"a {type(network).__name__} of {len(card.inputs)} inputs",
            action="choose another segmenter, or none",
        )

    def forward(slabs: Tensor) -> Tensor:
        return torch.cat([network(part) for part in torch.split(slabs, _AT_ONCE)])

    values = np.zeros(1 + max(card.label_classes), dtype=np.int64)
    for number, label in zip(card.label_classes, card.outputs[0].labels, strict=True):
        values[number] = label.value
    with torch.no_grad():
        volume = torch.from_numpy(image.astype(np.float32))[None]
        shares = viewed(forward, volume, slices=network.slices, multiple=network.multiple, axes=axes)
    return tissue_map(values[shares.argmax(0).numpy()])
