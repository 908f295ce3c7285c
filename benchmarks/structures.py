"""How well a model tells the structures of the brain apart, and whether it does so on every contrast.

    python benchmarks/structures.py --data DATA --model brain-suggest [--models DIR] [--write FOLDER]

Two tables. Simulated: the label maps listed as val, painted in every contrast with slices of 1 and of 5 mm;
Dice of every label with the map, and how many of the true volumes lie in the interval that is told. Patients:
the contrasts of one visit are segmented one by one; the Dice between what was found on each two of them, mean
over the labels, as there is no truth. `--write` puts the means into the card in this folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.card_figures import figure, write
from benchmarks.thick_slices import averaged, middles
from medgan_core import io
from medgan_core.card import Figure
from medgan_core.data.manifest import Manifest
from medgan_core.data.structures import label_values
from medgan_core.data.studies import heads
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.overlap import dice
from medgan_core.physics.mr_signal import Contrast
from medgan_core.physics.noise import rician
from medgan_core.physics.painting import Scan, paint
from medgan_core.physics.simulation import Head, tissue_map
from medgan_core.registry import SHIPPED, Registry
from medgan_core.volume import Volume

CONTRASTS: tuple[Contrast, ...] = ("T1", "T2", "FLAIR", "PD")
SLICES_MM = (1, 5)
SPLITS = {
    False: "patients, none of them seen in training",
    True: "patients whom the segmentation has not seen; the painter of its training images saw some of them",
}
"""By whether the card names more data than the label maps."""
LEFT_OUT = "simulated scans of heads left out"
VOLUME = "Volume: "
"""How the rows that tell a volume begin."""

_NOISE = 0.02
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Found:
    """What a model finds on an image.

    Args:
        labels: (i, j, k).
        intervals: of the volumes in mL, by label's name, where they are told.
    """

    labels: Labels
    intervals: dict[str, tuple[float, float]]


def segmented(session: Session, model: str, image: Volume) -> Found:
    """Ask the model."""
    key = session.registry.card(model).inputs[0].key
    outcome = run(session, model, {key: image}, RunOptions())
    labels: Labels = outcome.volumes["segmentation"].data[0]
    rows = {row.name.removeprefix(VOLUME): row.interval for row in outcome.report.rows}
    return Found(labels, {name: ends for name, ends in rows.items() if ends is not None})


def painted(truth: Volume, contrast: Contrast, slice_mm: int, seed: int) -> tuple[Volume, Labels]:
    """One scan of a label map with voxels of 1 mm, and the labels in the middle of its slices."""
    tissue = tissue_map(truth.data[0])
    scan = Scan(
        head=Head.draw(np.random.default_rng(seed)),
        contrast=contrast,
        texture=0.05,
        shading=0.4,
        sharpness=0.5,
        seed=seed,
    )
    image = paint(tissue, truth.geometry.spacing, scan, lambda share: None)
    thick = averaged(Volume(image, truth.geometry), slice_mm)
    values = thick.data[0]
    sigma = _NOISE * float(np.percentile(values[values > 0], 99.5))
    noisy = rician(torch.from_numpy(values), sigma, generator=torch.Generator().manual_seed(seed)).numpy()
    return Volume(1000 * noisy, thick.geometry), label_values(middles(truth, slice_mm).data[0])


@dataclass(frozen=True)
class Judged:
    """One simulated scan.

    Args:
        head: number of its map.
        name: contrast and thickness.
        dices: by label's name.
        inside: by label's name, whether the true volume lies in the interval.
    """

    head: int
    name: str
    dices: dict[str, float]
    inside: dict[str, bool]


def simulated(data: Path, session: Session, model: str) -> Iterator[Judged]:
    """Every scan of every map listed as val."""
    labels = session.registry.card(model).outputs[0].labels
    studies = Manifest.load(data).select(labels=["labels"], coverage=["head"])
    for number, study in enumerate(s for s in studies if s.split == "val"):
        truth = io.read(study.labels["labels"])
        for slice_mm in SLICES_MM:
            for seed, contrast in enumerate(CONTRASTS):
                image, known = painted(truth, contrast, slice_mm, 100 * number + seed)
                found = segmented(session, model, image)
                scores = {label.name: dice(found.labels, known, label=label.value) for label in labels}
                told = {name: score for name, score in scores.items() if score is not None}
                voxel = float(np.prod(image.geometry.spacing)) / 1000
                true = {label.name: voxel * np.count_nonzero(known == label.value) for label in labels}
                inside = {
                    name: low <= true[name] <= high
                    for name, (low, high) in found.intervals.items()
                    if true[name] > 0
                }
                yield Judged(number, f"{contrast}, {slice_mm} mm", told, inside)


def agreement(data: Path, session: Session, model: str) -> Iterator[tuple[str, str, str, float]]:
    """Patient, visit, two contrasts, and the mean Dice over labels between them."""
    labels = session.registry.card(model).outputs[0].labels
    for study in heads(Manifest.load(data)):
        images = {key: io.read(study.images[key]) for key in CONTRASTS if key in study.images}
        grid = next(iter(images.values())).geometry
        found = {
            k: segmented(session, model, v).labels for k, v in images.items() if v.geometry.close_to(grid)
        }
        for first, second in combinations(found, 2):
            scores = [dice(found[first], found[second], label=label.value) for label in labels]
            mean = fmean([score for score in scores if score is not None] or [0.0])
            yield study.patient, study.visit, f"{first}, {second}", mean


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="brain-suggest")
    parser.add_argument("--models", type=Path, help="folder of models, besides the shipped ones")
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    session = Session("cpu", registry=Registry([SHIPPED, *([told.models] if told.models else [])]))
    command = f"python benchmarks/structures.py --data DATA --model {told.model}"
    figures: list[Figure] = []
    by_scan: dict[str, list[dict[str, float]]] = {}
    by_head: dict[int, list[bool]] = {}
    for scan in simulated(told.data, session, told.model):
        by_scan.setdefault(scan.name, []).append(scan.dices)
        by_head.setdefault(scan.head, []).extend(scan.inside.values())
    print("| label | " + " | ".join(by_scan) + " |\n|---" + "|---" * len(by_scan) + "|")
    for label in session.registry.card(told.model).outputs[0].labels:
        columns = [[s[label.name] for s in found if label.name in s] for found in by_scan.values()]
        print(f"| {label.name} | " + " | ".join(f"{fmean(c):.3f}" if c else "" for c in columns) + " |")
    for name, found in by_scan.items():
        means = [fmean(scores.values()) for scores in found]
        figures.append(
            figure(f"Dice, {name}", means, unit="mean over labels", split=LEFT_OUT, command=command)
        )
    if any(by_head.values()):
        shares = [fmean(inside) for inside in by_head.values() if inside]
        name, unit = "True volumes inside of the 90 % interval", "share of all labels in 8 scans of a head"
        figures.append(figure(name, shares, unit=unit, split=LEFT_OUT, command=command))
        print(f"\n{name}: {', '.join(f'{share:.3f}' for share in shares)} ({unit})")
    print("\n| patient | contrasts | Dice between them |\n|---|---|---|")
    by_patient: dict[str, list[float]] = {}
    for patient, visit, contrasts, mean in agreement(told.data, session, told.model):
        print(f"| {f'{patient} {visit}'.strip()} | {contrasts} | {mean:.3f} |", flush=True)
        by_patient.setdefault(patient, []).append(mean)
    means = [fmean(values) for values in by_patient.values()]
    split = SPLITS[len(session.registry.card(told.model).data) > 1]
    name = "Dice between contrasts of one patient"
    figures.append(figure(name, means, unit="mean over labels", split=split, command=command))
    print(f"\nMean over {len(means)} patients: {fmean(means):.3f}")
    if told.write:
        write(told.write, figures)


if __name__ == "__main__":
    main()
