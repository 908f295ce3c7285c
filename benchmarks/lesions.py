"""Lesions that a model suggests on patients whom its training left out.

    python benchmarks/lesions.py --data DATA --runs runs/lesion-fold0 runs/lesion-fold1 [--write FOLDER]

Each run left one fold of the patients with marked lesions out (its setting `fold`), or, trained on simulated
heads alone, all of them. They are segmented from FLAIR alone, from FLAIR with the other contrasts made up by
the shipped translator (which has seen these patients), and from all that was scanned. Printed per patient:
Dice, the share of the lesions' voxels that were found (sensitivity), the share of what was found that is
lesion (precision), and both volumes. `--write` puts the means into the card in this folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.card_figures import figure, write
from medgan_core import io
from medgan_core.data.lesion_scans import LESION, SHOWN
from medgan_core.data.study import part
from medgan_core.data.training_set import open_training_set
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.overlap import dice
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training import RECIPES, folder
from medgan_core.training.recipes.lesion_suggest import LesionSuggest, marked
from medgan_core.volume import Volume

METRICS = {"dice": "Dice", "sensitivity": "Sensitivity", "precision": "Precision"}
CASES = ("FLAIR alone", "FLAIR, others made up", "all contrasts")
ADAPTED = "cross-validation by patient (weights of the fold, not the shipped ones)"
SIMULATED = "patients, none of them seen in training"
SEEN_BY_TRANSLATOR = "; the translator has seen them"
"""Of the contrasts that it makes up."""


@dataclass(frozen=True)
class Found:
    """Figures of one patient.

    Args:
        patient: who.
        split: `ADAPTED` or `SIMULATED`, by what the run was trained on.
        case: one of `CASES`.
        dice: 0 to 1.
        sensitivity: 0 to 1.
        precision: 0 to 1; 0 where nothing was found.
        volume_ml: of what was found.
        true_ml: of the lesions.
    """

    patient: str
    split: str
    case: str
    dice: float
    sensitivity: float
    precision: float
    volume_ml: float
    true_ml: float


def scored(patient: str, split: str, case: str, found: Volume, truth: Volume) -> Found:
    """Compare what was found with the lesions marked, on one grid."""
    p, t = found.data[0] != 0, truth.data[0] != 0
    both = int(np.count_nonzero(p & t))
    voxel = abs(float(np.linalg.det(truth.geometry.affine[:3, :3]))) / 1000
    return Found(
        patient=patient,
        split=split,
        case=case,
        dice=dice(p.astype(int), t.astype(int), label=1) or 0.0,
        sensitivity=both / max(int(np.count_nonzero(t)), 1),
        precision=both / max(int(np.count_nonzero(p)), 1),
        volume_ml=voxel * int(np.count_nonzero(p)),
        true_ml=voxel * int(np.count_nonzero(t)),
    )


def of_run(path: Path, data: Path, settings: Mapping[str, object] | None = None) -> Iterator[Found]:
    """Every case of every patient whom the run left out, with these settings of the engine."""
    recipe = folder.rebuilt(path, RECIPES)
    assert isinstance(recipe, LesionSuggest)
    studies, split = marked(open_training_set(data), recipe.sets), SIMULATED
    if recipe.real_share > 0:
        split = ADAPTED
        studies = part(studies, validation=True, fold=recipe.fold, purpose=recipe.name)
    session = Session("cpu", registry=Registry([SHIPPED, path / "models"]))
    for study in studies:
        images = {key: io.read(study.images[key]) for key in SHOWN if key in study.images}
        truth = io.read(study.labels[LESION])
        first = {SHOWN[0]: images[SHOWN[0]]}
        choices: tuple[tuple[Mapping[str, Volume], bool], ...] = (
            (first, False),
            (first, True),
            (images, False),
        )
        for case, (inputs, complete) in zip(CASES, choices, strict=True):
            options = RunOptions(settings={**(settings or {}), "complete": complete})
            volumes = run(session, recipe.name, inputs, options).volumes
            yield scored(study.patient, split, case, volumes["segmentation"], truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    print("| patient | case | Dice | sensitivity | precision | mL | true mL |\n|---|---|---|---|---|---|---|")
    rows: list[Found] = []
    for path in told.runs:
        for row in of_run(path, told.data):
            rows.append(row)
            numbers = " | ".join(f"{getattr(row, name):.3f}" for name in METRICS)
            print(
                f"| {row.patient} | {row.case} | {numbers} | {row.volume_ml:.1f} | {row.true_ml:.1f} |",
                flush=True,
            )
    command = f"python benchmarks/lesions.py --data DATA --runs {' '.join(p.name for p in told.runs)}"
    figures = []
    for split, case, name in product(dict.fromkeys(row.split for row in rows), CASES, METRICS):
        values = [getattr(row, name) for row in rows if (row.split, row.case) == (split, case)]
        print(f"{case}: {name} {fmean(values):.3f}, {len(values)} {split}")
        title, seen = f"{METRICS[name]}, {case}", SEEN_BY_TRANSLATOR if case == CASES[1] else ""
        figures.append(figure(title, values, unit="share", split=split + seen, command=command))
    if told.write:
        write(told.write, figures)


if __name__ == "__main__":
    main()
