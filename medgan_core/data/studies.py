"""From the cases of a training set to the arrays of whole brains on a network's grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgan_core.data.cases import Case, TrainingSet
from medgan_core.data.manifest import Manifest
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.study import Study
from medgan_core.preprocess import Preprocess, forward

_ISOTROPIC = 1.3


@dataclass(frozen=True)
class Prepared:
    """A study on a network's grid: (contrasts in the order of `CONTRASTS`, i, j, k) in float16."""

    study: Study
    array: NDArray[np.float16]
    available: tuple[bool, ...]
    isotropic: bool


def prepare(case: Case, settings: Preprocess) -> Prepared:
    """Bring a case's contrasts onto the network's grid."""
    volumes = [case.images[c].volume() if c in case.images else None for c in CONTRASTS]
    array, placement = forward(settings, volumes)
    spacing = placement.spacing
    return Prepared(
        case.study,
        array.astype(np.float16),
        tuple(v is not None for v in volumes),
        max(spacing) < _ISOTROPIC * min(spacing),
    )


def heads(data: Manifest | TrainingSet, *, without: Collection[str] = ()) -> list[Study]:
    """Studies to train on of which `shows_head` is true, leaving the named patients out.

    Patients listed as ``test`` are left out as well: no training looks at them.
    """
    return [s for s in data.select() if s.split != "test" and s.patient not in without and shows_head(s)]


def shows_head(study: Study) -> bool:
    """Whether a study is one of the head or brain, with at least two contrasts."""
    return study.of_head and len(set(study.images) & set(CONTRASTS)) >= 2


def shows_one_image(study: Study) -> bool:
    """Whether a study is one of the head or brain, with at least one magnitude image of whatever contrast."""
    return study.of_head and bool(study.magnitudes)
