"""How real painted heads look, and whether they show their label map.

    python benchmarks/painting.py --data DATA --model brain-mr-synthesize --fold 0 [--models DIR]
        [--segmenter MODEL --samples 2 --maps 2]

Paints the label maps listed as val in every contrast that patients were scanned with, with the refinement and
without. Printed per contrast: the kernel distance (KID) of axial slices to those of the patients whom the
fold left out, with the distance of other patients' slices as the least that can be hoped for; and, with a
model that segments heads, the Dice of what it finds with the map that was painted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.systems.kernel import grouped_kernel_distance
from medgan_core import io
from medgan_core.data.manifest import Manifest
from medgan_core.data.stacks import stack
from medgan_core.data.studies import heads
from medgan_core.data.study import folds
from medgan_core.data.training_set import open_training_set
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.overlap import dice
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training.recipes.translate import INPUTS
from medgan_core.volume import Volume

FEATURES = """\
Features are those of `brain-mr-translate`, which was trained here on real and simulated heads: means and
standard deviations of its last features over the foreground of a slice with pixels of 1 mm, each shifted and
scaled to mean 0 and variance 1 over the slices of the patients left out."""
SLICE_MM, _FILLED = 4, 0.15
Rows = NDArray[np.float64]


def rows_of(network: SlabUNet, slices: torch.Tensor, contrast: str) -> Rows:
    """Slices (n, h, w), 1 = the 99.5th percentile, to features (n, d), without those that show little."""
    slices = slices[(slices > 0.1).float().mean(dim=(1, 2)) > _FILLED]
    pad = [(0, -side % network.multiple) for side in slices.shape[1:]]
    slices = functional.pad(slices, (*pad[1], *pad[0]))
    shown = torch.zeros(len(slices), network.in_channels, *slices.shape[1:])
    number = INPUTS.index(contrast)
    shown[:, number * network.slices : (number + 1) * network.slices] = slices[:, None]
    shown[:, len(INPUTS) * network.slices + number] = 1.0
    found = []
    with torch.inference_mode():
        for part in torch.split(shown, 8):
            features = network.features(functional.pixel_unshuffle(part, 2))
            first = functional.avg_pool2d(part[:, number * network.slices][:, None], 2) > 0.1
            weight = first / first.sum(dim=(2, 3), keepdim=True).clamp(min=1)
            mean = (features * weight).sum(dim=(2, 3))
            square = (features.square() * weight).sum(dim=(2, 3))
            found.append(torch.cat([mean, (square - mean**2).clamp(min=0).sqrt()], dim=1))
    return torch.cat(found).double().numpy() if found else np.zeros((0, 1))


def real_rows(data: Path, network: SlabUNet, contrast: str, fold: int) -> dict[bool, tuple[Rows, list[int]]]:
    """Features of the heads left out (True) and of the others, with numbers of the patients."""
    held = open_training_set(data)
    everyone = heads(held)
    out = folds(everyone)[fold]
    found: dict[bool, tuple[list[Rows], list[int]]] = {True: ([], []), False: ([], [])}
    names = sorted({s.patient for s in everyone})
    for study in everyone:
        if study.coverage != "head" or contrast not in study.images:
            continue
        shown = stack(held.case(study, [contrast]), [contrast], plane="axial", pixel_mm=1.0)
        rows = rows_of(network, shown.images[0].float(), contrast)
        part = found[study.patient in out]
        part[0].append(rows)
        part[1].extend([names.index(study.patient)] * len(rows))
    return {key: (np.concatenate(rows), owners) for key, (rows, owners) in found.items()}


def axial(volume: Volume) -> torch.Tensor:
    """Slices (n, h, w) of a volume along R, A, S, averaged to `SLICE_MM`, at 1 = 1000."""
    thick = max(1, round(SLICE_MM / volume.geometry.spacing[2]))
    count = volume.geometry.shape[2] // thick
    data = torch.from_numpy(np.ascontiguousarray(volume.data[0], dtype=np.float32)) / 1000
    return data[..., : count * thick].reshape(*data.shape[:2], count, thick).mean(3).movedim(2, 0)


def maps(data: Path, most: int) -> Iterator[Volume]:
    """The label maps listed as val."""
    studies = Manifest.load(data).select(labels=["labels"], coverage=["head"])
    for study in [s for s in studies if s.split == "val"][:most]:
        yield io.read(study.labels["labels"])


def overlap(session: Session, segmenter: str, image: Volume, truth: Volume, contrast: str) -> float:
    """Mean Dice of the labels that both the segmenting model and the map know."""
    card = session.registry.card(segmenter)
    key = contrast if contrast in {port.key for port in card.inputs} else card.inputs[0].key
    options = RunOptions(settings={"allow_unsuitable": True})
    found = run(session, segmenter, {key: image}, options).volumes[card.targets[0]].data[0]
    scores = [dice(found, truth.data[0], label=label.value) for label in card.outputs[0].labels]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else float("nan")


class Line:
    """Prints lines of the table.

    Args:
        contrast: of all of them.
        left: features of the slices of patients left out.
        owners: number of the patient of each.
    """

    def __init__(self, contrast: str, left: Rows, owners: list[int]) -> None:
        self._contrast, self._owners = contrast, np.array(owners)
        self._mean, self._spread = left.mean(axis=0), left.std(axis=0) + 1e-6
        self._left = self._scaled(left)

    def __call__(self, name: str, rows: Rows, groups: list[int], score: str = "") -> None:
        """One line: images of these features, each of one of these groups."""
        kid = grouped_kernel_distance(self._left, self._owners, self._scaled(rows), np.array(groups), seed=0)
        interval = f"{kid.value:.3f} ({kid.low:.3f} to {kid.high:.3f})"
        print(f"| {self._contrast} | {name} | {interval} | {score} |", flush=True)

    def _scaled(self, rows: Rows) -> Rows:
        return np.asarray((rows - self._mean) / self._spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--models", type=Path, help="folder of models, besides the shipped ones")
    parser.add_argument("--fold", type=int, default=0, help="that the model left out")
    parser.add_argument("--segmenter", default="", help="a model that suggests FreeSurfer labels")
    parser.add_argument("--samples", type=int, default=2, help="of each map")
    parser.add_argument("--maps", type=int, default=2)
    parser.add_argument("--contrasts", default="T1,T2,FLAIR")
    told = parser.parse_args()
    session = Session("cpu", registry=Registry([SHIPPED, *([told.models] if told.models else [])]))
    network = session.model("brain-mr-translate").network
    assert isinstance(network, SlabUNet)
    print(FEATURES + "\n")
    print("| contrast | images | KID to patients left out (95 % interval) | Dice with the map |")
    print("|---|---|---|---|")
    for contrast in told.contrasts.split(","):
        real = real_rows(told.data, network, contrast, told.fold)
        line = Line(contrast, *real[True])
        line("of other patients", *real[False])
        for name, share in (("simulated, not refined", 0.0), ("refined", 1.0)):
            rows, groups, scores = [], [], []
            for number, truth in enumerate(maps(told.data, told.maps)):
                options = RunOptions(
                    target=contrast, count=told.samples, seed=number, settings={"refine": share}
                )
                made = run(session, told.model, {"labels": truth}, options).volumes
                for key in (key for key in made if key.startswith(contrast)):
                    found = rows_of(network, axial(made[key]), contrast)
                    rows.append(found)
                    groups += [len(rows)] * len(found)
                    if told.segmenter:
                        scores.append(overlap(session, told.segmenter, made[key], truth, contrast))
            line(name, np.concatenate(rows), groups, f"{np.mean(scores):.3f}" if scores else "")


if __name__ == "__main__":
    main()
