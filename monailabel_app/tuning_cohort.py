"""The studies of the store that a model is tuned on: `Cohort.of`, without labels that mean nothing to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.card import ModelCard
from medgan_core.errors import UsageError
from medgan_core.training.cohort import Cohort
from monailabel_app.label_grid import ONE_OPEN

FOREIGN = "with values that the model does not know"
"""Why a submitted label is left out."""


def cohort_of(folder: Path, card: ModelCard, finals: Mapping[str, Path]) -> Cohort:
    """What the store holds for a model; of the studies chosen the submitted labels are read.

    One with values that are none of the model's is left out and counted; another study takes its place where
    there is one. Label maps that a manifest lists are not looked at.

    Args:
        folder: of the store.
        card: of the model.
        finals: final labels of the images by their names without ending.

    Raises:
        UsageError: when too few patients are left.
        InputError: as `Cohort.of`, and when a label cannot be read.
    """
    known = np.array([label.value for port in card.outputs for label in port.labels])
    left, fitting = dict(finals), set[Path]()
    while True:
        found = _cohort(folder, card, left, count=len(finals) - len(left))
        chosen = {path for study in found.studies for path in study.labels.values()} & set(left.values())
        new = chosen - fitting
        foreign = {path for path in new if not _holds_only(known, path)}
        if not foreign:
            return found
        fitting |= new - foreign
        left = {image: path for image, path in left.items() if path not in foreign}


def _cohort(folder: Path, card: ModelCard, finals: Mapping[str, Path], *, count: int) -> Cohort:
    """The cohort, or the refusal, with the count of labels left out already."""
    try:
        found = Cohort.of(folder, card, finals)
    except UsageError as error:
        if not count:
            raise
        got = f"{error.got}; {count} submitted labels {FOREIGN}"
        raise UsageError(error.what, expected=error.expected, got=got, action=error.action) from error
    return Cohort(found.studies, {**found.left_out, FOREIGN: count}) if count else found


def _holds_only(values: NDArray[np.integer[Any]], label: Path) -> bool:
    with ONE_OPEN:
        voxels = io.read(label).data
        return bool(np.isin(voxels[voxels != 0], values).all())
