"""Training sets in which only some patients are labelled, as folders with a manifest."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.data.cases import Case
from medgan_core.data.crops import LabelledCrops
from medgan_core.data.study import part
from medgan_core.data.training_set import open_training_set
from medgan_core.volume import Volume

IMAGE, LABEL = "T1", "labels"
_COLUMNS = ("set", "patient", "visit", "key", "kind", "coverage", "split", "licence", "path")


def cases(data: Path, *, validation: bool = False) -> list[Case]:
    """The labelled crops of a split, those of the patients to train on or of those listed as ``val``."""
    held = open_training_set(data)
    studies = held.select(images=[IMAGE], labels=[LABEL], coverage=("crop",))
    chosen = part(studies, validation=validation, purpose="crops")
    return [held.case(study, (IMAGE, LABEL)) for study in chosen]


def first_labelled(data: Path, count: int, seed: int) -> list[str]:
    """The patients that the recipes train on with ``labelled=count`` and this seed; all with 0."""
    return LabelledCrops.of(open_training_set(data), validation=False, labelled=count, seed=seed).patients


def write(
    folder: Path,
    data: Path,
    labelled: Collection[str],
    suggested: Mapping[str, NDArray[np.integer[Any]]] | None = None,
) -> Path:
    """A folder whose manifest has the labelled patients to train on, and all listed as ``val``.

    Args:
        folder: is made; files of the same name are replaced.
        data: the whole set.
        labelled: patients with their own labels.
        suggested: label maps (i, j, k) of further patients, made by a model from their images.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    suggested = suggested or {}
    rows: list[tuple[str, ...]] = []
    for validation in (False, True):
        for case in cases(data, validation=validation):
            study, patient = case.study, case.study.patient
            if not validation and patient not in labelled and patient not in suggested:
                continue
            label = study.labels[LABEL]
            if not validation and patient not in labelled:
                grid = case.images[IMAGE].geometry
                drawn = Volume(np.asarray(suggested[patient], dtype=np.uint8), grid)
                label = io.write(drawn, folder / f"{Path(patient).name}.nii.gz")
            for key, kind, path in ((IMAGE, "image", study.images[IMAGE]), (LABEL, "label", label)):
                told = (study.source, patient, study.visit, key, kind, study.coverage)
                rows.append((*told, study.split, study.licence, str(path.resolve())))
    return write_manifest(folder, rows)


def write_manifest(folder: Path, rows: Sequence[Sequence[str]]) -> Path:
    """Rows of the manifest's columns into ``manifest.csv`` of a folder, which is returned."""
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([_COLUMNS, *rows])
    return folder
