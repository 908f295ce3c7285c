"""From a manifest's files to arrays ready for training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.data.manifest import Manifest, Study
from medgan_core.data.slabs import CONTRASTS
from medgan_core.preprocess import Preprocess, forward, slice_axes
from medgan_core.volume import Volume

_ISOTROPIC = 1.3


@dataclass(frozen=True)
class Prepared:
    """A study on a network's grid: (contrasts in the order of `CONTRASTS`, i, j, k) in float16."""

    study: Study
    array: NDArray[np.float16]
    available: tuple[bool, ...]
    isotropic: bool


def prepare(study: Study, settings: Preprocess) -> Prepared:
    """Read a study's contrasts and bring them onto the network's grid."""
    volumes: list[Volume | None] = [
        io.read(study.images[c]) if c in study.images else None for c in CONTRASTS
    ]
    array, placement = forward(settings, volumes)
    spacing = placement.spacing
    return Prepared(
        study,
        array.astype(np.float16),
        tuple(v is not None for v in volumes),
        max(spacing) < _ISOTROPIC * min(spacing),
    )


def heads(manifest: Manifest, *, without: Collection[str] = ()) -> list[Study]:
    """Studies of the brain with at least two contrasts, leaving the named patients out."""
    return [
        s
        for s in manifest.select(coverage=("head", "brain"))
        if s.patient not in without and len(set(s.images) & set(CONTRASTS)) >= 2
    ]


def label_maps(studies: Sequence[Study]) -> list[NDArray[np.integer[Any]]]:
    """Whole-head label maps in RAS order, for simulation."""
    maps: list[NDArray[np.integer[Any]]] = []
    for study in studies:
        volume = io.read(study.labels["labels"])
        axes, flips = slice_axes(volume.geometry)
        data = np.asarray(volume.data[0]).astype(np.int16).transpose(axes)
        maps.append(np.ascontiguousarray(np.flip(data, flips) if flips else data))
    return maps
