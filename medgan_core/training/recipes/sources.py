"""Slabs of simulated and real heads, as the recipes on brain MR share them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core.data.cases import TrainingSet, label_maps
from medgan_core.data.slabs import CONTRASTS, MixedSlabs, RealSlabs, SimulatedSlabs, SlabSource
from medgan_core.data.studies import heads, prepare
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.errors import UsageError
from medgan_core.preprocess import Preprocess


def brain_slabs(
    data: Path,
    *,
    slices: int,
    size: int,
    real_share: float,
    fold: int,
    preprocess: Preprocess,
    validation: bool,
) -> SlabSource:
    """Slabs for training, or of what is left out of it.

    Args:
        data: a manifest's folder, or a pack.
        slices: of a slab.
        size: pixels along its sides.
        real_share: probability of a real slab.
        fold: cross-validation fold (0, 1, 2) whose patients are left out; -1 leaves none out.
        preprocess: of the model.
        validation: label maps of the validation split and the fold's patients instead.

    Raises:
        UsageError: when there is no label map of a head, or no scan where real slabs are asked for.
    """
    held = open_training_set(data)
    simulated = SimulatedSlabs(head_maps(held, validation=validation), slices=slices, size=size)
    if real_share <= 0:
        return simulated
    everyone = heads(held)
    if not everyone:
        raise UsageError(
            "No scan of a head is there to learn from",
            expected=f"a study of coverage head or brain with two of {', '.join(CONTRASTS)}",
            got=f"none among {len(held.studies)} studies",
            action="add scans, or choose a recipe that learns from label maps alone",
        )
    out = folds(everyone)[fold] if fold >= 0 else set()
    chosen = [s for s in everyone if (s.patient in out) == validation] or everyone
    prepared = [prepare(held.case(s, CONTRASTS), preprocess) for s in chosen]
    real = RealSlabs(
        [p.array for p in prepared],
        [p.available for p in prepared],
        [p.isotropic for p in prepared],
        slices=slices,
        size=size,
        sources=[p.study.source for p in prepared],
    )
    return MixedSlabs(simulated, real, 1.0 if validation else real_share)


def head_maps(held: TrainingSet, *, validation: bool) -> list[NDArray[np.int16]]:
    """Label maps of heads, (i, j, k) in RAS order: those to simulate from, or those left out.

    Raises:
        UsageError: when there is none.
    """
    split = "val" if validation else "train"
    everyone = held.select(labels=["labels"], coverage=["head"])
    mapped = [s for s in everyone if s.split == split]
    if not mapped:
        raise UsageError(
            f"No label map of a head is there to {'validate on' if validation else 'train on'}",
            expected=f"a study of coverage head with a label map `labels`, listed as {split}",
            got=f"{len(everyone)} of another split" if everyone else "none",
            action="add one, such as one of the open SynthSeg maps",
        )
    return label_maps(held.case(s, ["labels"]) for s in mapped)


def generators(seed: int, number: int) -> tuple[np.random.Generator, torch.Generator]:
    """The two sources of randomness of one sample."""
    rng = np.random.default_rng((seed, number))
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))
