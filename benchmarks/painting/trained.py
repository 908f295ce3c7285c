"""Whether a segmentation that learnt from scans of patients alone finds the map in painted heads.

    python -m benchmarks.painting.trained --data DATA --runs FOLDER --fold 0 [--write FOLDER]

Nobody has drawn the structures of these patients' brains. So a model that suggests them labels the T1 image
of every visit, a network with random weights learns from these labels and all images of the visit, but those
of the patients whom the fold leaves out, and is then asked about painted heads. Printed per contrast: its
Dice with the map on painted heads, refined and not, and with the suggested labels on the patients left out,
mean over the labels. Painted heads are averaged to slices of 4 mm, as all whole heads among the patients were
scanned with slices of 3 to 6.5 mm. `--write` puts the figures of refined images into the card in this folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from benchmarks import card_figures
from benchmarks.labelled_sets import write_manifest
from benchmarks.painting.comparison import SHARES
from benchmarks.painting.heads import images, maps, overlap
from benchmarks.painting.slices import SLICE_MM
from benchmarks.suggesting import trained
from benchmarks.thick_slices import averaged, middles
from medgan_core import io
from medgan_core.card import Figure, ModelCard, Training
from medgan_core.data.manifest import Manifest
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.engine import Session, run
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training.cohort import IMAGE, LABELS
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.training.recipes.tuned import TunedBrainSuggest
from medgan_core.volume import Volume

NAME, LABELLED_ON = "brain-of-patients", "T1"


@dataclass(frozen=True, kw_only=True)
class OfPatients(TunedBrainSuggest):
    """`TunedBrainSuggest` that begins with random weights."""

    name: ClassVar[str] = NAME

    updates: int = 1500
    lr: float = 1e-3
    warmup: int = 100
    ema: float = 0.995
    validate_every: int = 1500
    size: int = 128
    widths: tuple[int, ...] = (32, 64, 96)

    def card(self, training: Training) -> ModelCard:
        """Of `BrainSuggest`."""
        return BrainSuggest.card(self, training)


def label(session: Session, segmenter: str, data: Path, out: Path, *, fold: int) -> Path:
    """A folder with a manifest of the MR images that lie on their visit's T1, with the labels found there.

    Patients of the fold are listed as ``val``, the others as ``train``.
    """
    everyone = heads(Manifest.load(data))
    left_out = folds(everyone)[fold]
    everyone = [study for study in everyone if LABELLED_ON in study.images]
    out.mkdir(parents=True, exist_ok=True)
    key_of = session.registry.card(segmenter).inputs[0].key
    rows: list[tuple[str, ...]] = []
    for number, study in enumerate(everyone):
        first = io.read(study.images[LABELLED_ON])
        found = run(session, segmenter, {key_of: first}).volumes["segmentation"]
        split = "val" if study.patient in left_out else "train"
        for key in study.magnitudes:
            image = study.images[key]
            if not io.read_header(image).geometry.close_to(first.geometry):
                continue
            path = io.write(found, out / f"labels-{number}-{key}.nii.gz")
            told = (study.source, study.patient, f"{study.visit} {key}".strip())
            rows += [
                (*told, name, kind, study.coverage, split, study.licence, str(file.resolve()))
                for name, kind, file in ((IMAGE, "image", image), (LABELS, "label", path))
            ]
    return write_manifest(out, rows)


def scans(data: Path, contrast: str) -> Iterator[tuple[Volume, Volume]]:
    """Image and labels of the patients left out."""
    for study in Manifest.load(data).studies:
        if study.split == "val" and study.visit.split()[-1] == contrast:
            yield io.read(study.images[IMAGE]), io.read(study.labels[LABELS])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.painting.trained")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/painting"))
    parser.add_argument("--model", default="brain-mr-synthesize")
    parser.add_argument("--segmenter", default="brain-suggest", help="labels the scans")
    parser.add_argument("--fold", type=int, default=0, help="that the model left out")
    parser.add_argument("--updates", type=int, default=OfPatients.updates)
    parser.add_argument("--samples", type=int, default=2, help="of each map")
    parser.add_argument("--maps", type=int, default=2)
    parser.add_argument("--contrasts", nargs="+", default=["T1", "T2", "FLAIR"])
    parser.add_argument("--write", type=Path, help="folder of the model whose card gets the figures")
    told = parser.parse_args()
    command = f"python -m benchmarks.painting.trained --data DATA --fold {told.fold}"
    version = Session().registry.card(told.segmenter).version
    runs = told.runs / f"{told.segmenter}-{version}-fold{told.fold}"
    data, own = runs / "labelled", runs / "trained"
    if not (data / "manifest.csv").is_file():
        label(Session(), told.segmenter, told.data, data, fold=told.fold)
    trained(OfPatients(updates=told.updates, validate_every=told.updates), data, own, command=command)
    session = Session(registry=Registry([SHIPPED, own / "models"]))
    truths, found = list(maps(told.data, told.maps)), list[Figure]()
    print("| contrast | patients left out | " + " | ".join(SHARES) + " |\n|---|---|---|---|")
    for contrast in told.contrasts:
        real = [overlap(session, NAME, *pair, contrast) for pair in scans(data, contrast)]
        painted: dict[str, list[float]] = {}
        for kind, share in SHARES.items():
            scores: dict[int, list[float]] = {}
            for number, image in images(
                session, told.model, truths, contrast, share=share, samples=told.samples
            ):
                truth = middles(truths[number], SLICE_MM)
                score = overlap(session, NAME, averaged(image, SLICE_MM), truth, contrast)
                scores.setdefault(number, []).append(score)
            painted[kind] = [fmean(samples) for samples in scores.values()]
        columns = [fmean(real), *(fmean(values) for values in painted.values())]
        print(f"| {contrast} | " + " | ".join(f"{value:.3f}" for value in columns) + " |", flush=True)
        plain, refined = painted.values()
        found.append(
            card_figures.figure(
                f"Dice with the map of a segmentation trained on patients, {contrast}",
                refined,
                unit=f"mean over labels; scans labelled by {told.segmenter} {version}",
                split="label maps listed as val, slices of 4 mm",
                command=command,
                baseline=f"not refined: {fmean(plain):.3g}; patients left out: {fmean(real):.3g}",
            )
        )
    if told.write:
        card_figures.write(told.write, found)


if __name__ == "__main__":
    main()
