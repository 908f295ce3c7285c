"""Figures of a hippocampus synthesizer: are its images like real ones, do they show their maps, are its maps?

    medgan train segmentation --data DATA --out runs/synthesis/segmentation --set spatial_dims=3 --set batch=8
    medgan train hippocampus-synthesize --data DATA --out runs/synthesis/hippocampus-synthesize
    python -m benchmarks.synthesis --data DATA --runs runs/synthesis [--card FOLDER]

Prints the figures; with ``--card`` they replace those of a published or shipped model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from benchmarks import shapes
from benchmarks.systems.crops import real_crops
from benchmarks.systems.image_sets import ImageSets
from benchmarks.systems.judged import Bench
from benchmarks.systems.runs import Runs
from benchmarks.systems.spade import SEGMENTATION, found_again
from medgan_core.card import Figure, ModelCard
from medgan_core.registry import CARD
from medgan_core.training.recipes.spade import LABELS

RUN = "hippocampus-synthesize"
COMMAND = "python -m benchmarks.synthesis --data DATA --runs runs/synthesis"
IMAGES = 200
_SEED = 0


def judge(bench: Bench) -> dict[str, Any]:
    """All figures, as plain JSON types; what was judged once is kept."""

    def make() -> dict[str, Any]:
        drawn = bench.runs.open(RUN).draw(bench.images, seed=_SEED)
        sets = ImageSets(bench)
        training, held_back = (
            real_crops(bench.data, spatial_dims=3, validation=val, augmented=True) for val in (False, True)
        )
        some = sets.training.crops.any(bench.images, seed=_SEED)
        return {
            "found_again": found_again(bench, RUN),
            "images": sets.figures(drawn["image"]) | sets.copies(drawn["image"]),
            "real": sets.figures(some.images, some.patients),
            "real_similarity": sets.real_similarity,
            "maps": shapes.figures(
                drawn["label"], training.labels, held_back.labels, held_back.patients, labels=LABELS
            ),
        }

    found: dict[str, Any] = bench.judged("synthesis", make, runs=[RUN, SEGMENTATION])
    return found


def card_figures(found: Mapping[str, Any]) -> tuple[Figure, ...]:
    """What the card says of them."""
    images, real, maps = found["images"], found["real"], found["maps"]
    again = {
        kind: [fmean(pair) for pair in zip(*d.values(), strict=True)]
        for kind, d in found["found_again"].items()
    }
    made = again["generated"]
    crops = "val patients"

    def figure(name: str, value: float, unit: str, n: int, baseline: str, split: str = crops) -> Figure:
        return Figure(
            name=name, value=round(value, 4), unit=unit, n=n, split=split, command=COMMAND, baseline=baseline
        )

    dice = figure(
        "Dice of a segmentation trained on real crops, on generated images against their maps",
        fmean(made),
        "mean over patients whose maps were taken",
        len(made),
        f"their real images: {fmean(again['real']):.4g}",
    )
    drawn = "pairs drawn from nothing against val patients"
    near, real_kid = images["kid"]["value"], real["kid"]["value"]
    ml, true_ml = (
        ", ".join(f"{m:.2f} ± {s:.2f}" for m, s in maps[k]["volume"]) for k in ("drawn", "held_back")
    )
    return (
        replace(dice, spread=round(stdev(made), 4)),
        figure(
            "KID",
            near,
            "features of a segmentation",
            images["images"],
            f"training crops: {real_kid:.4g}",
            drawn,
        ),
        figure(
            "Mean pairwise MS-SSIM",
            images["similarity"],
            "1: all the same",
            images["images"],
            f"real crops: {found['real_similarity']:.4g}",
            drawn,
        ),
        figure(
            "Copies",
            images["copies"],
            "share nearer to a training crop than 95 % of real unseen ones",
            images["images"],
            f"real unseen crops: {images['held_back_copies']:.4g}",
            drawn,
        ),
        figure(
            "Copies that single out a patient",
            images["singled_out"],
            "share that is also much nearer to one training patient than to all others",
            images["images"],
            f"real unseen crops: {images['held_back_singled_out']:.4g}",
            drawn,
        ),
        figure(
            "Dice of a drawn map with the nearest training map",
            maps["drawn"]["nearest"],
            "whole hippocampus",
            maps["drawn"]["maps"],
            f"maps of val patients: {maps['held_back']['nearest']:.4g}",
            drawn,
        ),
        figure(
            "Volume of drawn maps",
            sum(mean for mean, _ in maps["drawn"]["volume"]),
            f"ml; anterior, posterior: {ml}",
            maps["drawn"]["maps"],
            f"val patients: {true_ml}",
            drawn,
        ),
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthesis")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--runs", type=Path, default=Path("runs/synthesis"))
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--card", type=Path, help="folder of a model whose card gets the figures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = judge(Bench(chosen.data, Runs(chosen.runs), chosen.images))
    print(json.dumps(found, indent=1))
    if chosen.card is not None:
        path = chosen.card / CARD
        replace(ModelCard.load(path), figures=card_figures(found)).save(path)


if __name__ == "__main__":
    main()
