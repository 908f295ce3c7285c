"""Figures of `mr-variants`: do crops still show their label maps, are they like real ones, do they differ?

    medgan train segmentation --data DATA --out runs/synthesis/segmentation --set spatial_dims=3 --set batch=8
    python -m benchmarks.variants --data DATA --runs runs/synthesis [--card FOLDER]

Hippocampus crops with the model's own settings. Dice is that of a segmentation trained on real crops, in
variants of the val patients' crops, against the maps that were deformed with them. KID compares variants of
training crops with the val crops. A variant is meant to be near to the crop it was made of, so there is no
rate of copies. Prints the figures; with ``--card`` they replace those of this model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import card_figures
from benchmarks.labelled_sets import IMAGE, LABEL, cases
from benchmarks.systems.image_sets import ImageSets
from benchmarks.systems.judged import Bench
from benchmarks.systems.runs import Runs
from benchmarks.systems.spade import SEGMENTATION, label_dices
from medgan_core.card import Figure
from medgan_core.data.cases import Case
from medgan_core.data.windows import Window
from medgan_core.engine import RunOptions, Session, run
from medgan_core.metrics.diversity import mean_pairwise_similarity
from medgan_core.training.recipes.crops import SHAPE
from medgan_core.volume import Volume

MODEL = "mr-variants"
COMMAND = "python -m benchmarks.variants --data DATA --runs runs/synthesis"
EACH = 2
"""Variants of every crop."""

_SEED = 0


@dataclass(frozen=True, eq=False)
class Varied:
    """Crops and their variants, cut to one size; the variants of a crop follow one another.

    Args:
        originals: (n, 1, *SHAPE), 0 to 1.
        maps: (n, 1, *SHAPE), int64.
        images: (n * EACH, 1, *SHAPE), 0 to 1.
        labels: (n * EACH, 1, *SHAPE), int64, deformed with their images.
    """

    originals: Tensor
    maps: Tensor
    images: Tensor
    labels: Tensor

    def owners(self, each: int) -> NDArray[np.int64]:
        """Number of the crop, each so many times."""
        return np.repeat(np.arange(len(self.originals)), each)


def varied(session: Session, crops: Sequence[Case]) -> Varied:
    """Variants of crops with the settings of the card."""
    originals, maps, images, labels = [], [], [], []
    for number, case in enumerate(crops):
        volume = case.images[IMAGE].volume()
        truth = Volume(case.label(LABEL), volume.geometry)
        options = RunOptions(seed=_SEED + number, count=EACH)
        made = run(session, MODEL, {"image": volume, "labels": truth}, options).volumes
        originals.append(_cut(volume))
        maps.append(_cut_labels(truth))
        for key, found in made.items():
            if key.startswith("image"):
                images.append(_cut(found))
            else:
                labels.append(_cut_labels(found))
    return Varied(*(torch.stack(each) for each in (originals, maps, images, labels)))


def judge(bench: Bench) -> dict[str, Any]:
    """All figures, as plain JSON types; what was judged once is kept."""

    def make() -> dict[str, Any]:
        session, sets = Session("cpu"), ImageSets(bench)
        training = cases(bench.data)
        order = np.random.default_rng(_SEED).permutation(len(training))
        of_training = varied(session, [training[n] for n in order[: bench.images // EACH]])
        unseen = varied(session, cases(bench.data, validation=True))
        segmentation = bench.runs.open(SEGMENTATION)

        def dices(image: Tensor, label: Tensor, each: int) -> list[float]:
            found = label_dices(segmentation, image, label, torch.from_numpy(unseen.owners(each)))
            return [fmean(values) for values in zip(*found.values(), strict=True)]

        def distance(image: Tensor, each: int) -> float:
            owners = of_training.owners(each)
            return sets.distance(image, owners, reference=sets.unmoved).value

        pairs = unseen.images.numpy().reshape(-1, EACH, 1, *SHAPE)
        return {
            "dice": dices(unseen.images, unseen.labels, EACH),
            "dice_real": dices(unseen.originals, unseen.maps, 1),
            "kid": distance(of_training.images, EACH),
            "kid_real": distance(of_training.originals, 1),
            "alike": [mean_pairwise_similarity(pair, seed=_SEED).mean for pair in pairs],
            "alike_real": mean_pairwise_similarity(unseen.originals.numpy(), seed=_SEED).mean,
            "variants": len(of_training.images),
        }

    found: dict[str, Any] = bench.judged("variants", make, runs=[SEGMENTATION], each=EACH)
    return found


def figures(found: Mapping[str, Any]) -> tuple[Figure, ...]:
    """What the card says of them."""
    val = f"{EACH} variants of each val patient's hippocampus crop"
    return (
        card_figures.figure(
            "Dice of a segmentation trained on real crops, on variants against their maps",
            found["dice"],
            unit="mean over labels",
            split=val,
            command=COMMAND,
            baseline=f"the crops themselves: {fmean(found['dice_real']):.4g}",
        ),
        Figure(
            name="KID",
            value=round(found["kid"], 4),
            unit="features of a segmentation",
            n=found["variants"],
            split="variants of training crops against val crops",
            command=COMMAND,
            baseline=f"training crops: {found['kid_real']:.4g}",
        ),
        card_figures.figure(
            "MS-SSIM between two variants of a crop",
            found["alike"],
            unit="1: the same",
            split=val,
            command=COMMAND,
            baseline=f"crops of two patients: {found['alike_real']:.4g}",
        ),
    )


def _cut(volume: Volume) -> Tensor:
    image = torch.from_numpy(np.asarray(volume.data, dtype=np.float32))
    return _window(volume).cut(image, mirror=True).clamp(0, 1)


def _cut_labels(volume: Volume) -> Tensor:
    return _window(volume).cut_labels(torch.from_numpy(volume.data.astype(np.int64)))


def _window(volume: Volume) -> Window:
    return Window(tuple((n - 1) / 2 for n in volume.geometry.shape), SHAPE)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variants")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/synthesis"))
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--card", type=Path, help="folder of the model whose card gets the figures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = judge(Bench(chosen.data, Runs(chosen.runs), chosen.images))
    print(json.dumps(found, indent=1))
    if chosen.card is not None:
        card_figures.write(chosen.card, figures(found))


if __name__ == "__main__":
    main()
