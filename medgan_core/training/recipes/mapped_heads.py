"""Real brains with the tissue that a model finds in them, for the recipes that learn texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medgan_core.data.mapped_slabs import Mapped
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import InputError
from medgan_core.physics.simulation import tissue_map
from medgan_core.preprocess import Preprocess, forward, place_labels


def mapped_heads(data: Path, *, segmenter: str, fold: int, preprocess: Preprocess) -> list[Mapped]:
    """Real brains to train on, each with the tissue map that a model finds on the first of its contrasts.

    Args:
        data: a manifest's folder, or a pack.
        segmenter: name of a model that suggests FreeSurfer labels.
        fold: cross-validation fold whose patients are left out; -1 leaves none out.
        preprocess: of the images.

    Raises:
        UsageError: when there is no such model.
        InputError: when it finds a brain in none of them.
    """
    held, session = open_training_set(data), Session()
    everyone = heads(held)
    out = folds(everyone)[fold] if fold >= 0 else set()
    key = session.registry.card(segmenter).inputs[0].key
    found = []
    for study in everyone:
        if study.patient in out:
            continue
        case = held.case(study, CONTRASTS)
        volumes = [case.images[c].volume() if c in case.images else None for c in CONTRASTS]
        first = next(v for v in volumes if v is not None)
        options = RunOptions(settings={"allow_unsuitable": True})
        labels = run(session, segmenter, {key: first}, options).volumes["segmentation"].data[0]
        images, placement = forward(preprocess, volumes)
        tissue = tissue_map(place_labels(labels, placement))
        if tissue.any():
            available = tuple(v is not None for v in volumes)
            found.append(Mapped(images.astype(np.float16), available, tissue, case.isotropic))
    if not found:
        raise InputError(
            f"{segmenter} found no brain to learn texture from",
            expected="at least one study with a brain",
            got=f"{len(everyone)} studies without one",
            action="train without it (segmenter=), or choose a model that knows the brain",
        )
    return found
