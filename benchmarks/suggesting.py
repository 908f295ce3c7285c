"""Small suggestion networks for benchmarks: trained in minutes, judged patient by patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.labelled_sets import IMAGE, LABEL, cases
from medgan_core.data.cases import Case
from medgan_core.engine import Session
from medgan_core.errors import UsageError
from medgan_core.metrics.overlap import dice
from medgan_core.training import folder, loop
from medgan_core.training.finished import Finished
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.suggesting import AXES, slabs_along, viewed

SMALL: dict[str, Any] = {"batch": 4, "widths": (24, 48, 64), "places": 4}
"""What differs from the shipped model's settings."""

UPDATES = 1500

Dices = dict[str, list[float]]
"""Dice of every patient by label (as text)."""


def trained(recipe: Recipe, data: Path, run: Path, *, command: str = "") -> Finished:
    """The finished run of a recipe; trained, or gone on with, where it is not finished.

    Args:
        recipe: with its settings.
        data: folder with the manifest.
        run: the folder; its parent's name is the benchmark's where no command is given.
        command: that the run is to be known by.

    Raises:
        UsageError: when the folder holds another recipe's run, or one with other settings.
    """
    if not folder.is_done(run):
        command = command or f"python -m benchmarks.{run.parent.name}"
        device = Session("auto").device
        loop.train(recipe, data=data, out=run, command=command, device=device, resume=run.is_dir(), workers=0)
    found = Finished.open(run, recipes={recipe.name: type(recipe)})
    if found.recipe != recipe:
        raise UsageError(
            "The run folder holds a run with other settings",
            expected=str(recipe),
            got=str(found.recipe),
            action="choose another --runs, or remove the run's folder and the pairs made of it",
        )
    return found


@dataclass(frozen=True, eq=False)
class Suggested:
    """What a network says of one crop.

    Args:
        patient: whose.
        members: (views, classes, i, j, k), probabilities of the classes in each view.
        features: (d,), means over the crop of the network's last features.
        truth: (i, j, k), the label map of the crop.
    """

    patient: str
    members: Tensor
    features: Tensor
    truth: Tensor

    @property
    def labels(self) -> Tensor:
        """(i, j, k), the most probable label, mean over the views."""
        return self.members.mean(0).argmax(0)


def suggested(run: Finished, data: Path, *, validation: bool) -> Iterator[Suggested]:
    """The network's answers on the crops of a split, one after the other."""
    for case in cases(data, validation=validation):
        yield _answer(run, case)


@torch.no_grad()
def _answer(run: Finished, case: Case) -> Suggested:
    recipe = cast("HippocampusSuggest", run.recipe)
    network: Any = run.networks.exact("model")
    volume = torch.from_numpy(case.images[IMAGE].image())[None].to(run.device)
    views = [
        viewed(network, volume, slices=recipe.slices, multiple=network.multiple, axes=(axis,))
        for axis in AXES
    ]
    return Suggested(
        patient=case.study.patient,
        members=torch.stack(views).cpu(),
        features=_features(network, volume, recipe.slices),
        truth=torch.from_numpy(case.label(LABEL)).long(),
    )


def judged(run: Finished, data: Path) -> Dices:
    """Dice of each label in the patients listed as ``val``."""
    labels = cast("HippocampusSuggest", run.recipe).labels
    found: Dices = {str(label.value): [] for label in labels}
    for one in suggested(run, data, validation=True):
        for label in labels:
            value = dice(one.labels.numpy(), one.truth.numpy(), label=label.value)
            if value is not None:
                found[str(label.value)].append(value)
    return found


def mean_dice(dices: Dices) -> float:
    """Over patients and labels."""
    return fmean(fmean(values) for values in dices.values())


def _features(network: Any, volume: Tensor, slices: int) -> Tensor:
    slabs = slabs_along(volume[None], AXES[0], range(volume.shape[-1]), slices)
    height, width = slabs.shape[2:]
    padded = functional.pad(
        slabs, (0, -width % network.multiple, 0, -height % network.multiple), mode="replicate"
    )
    folded = functional.pixel_unshuffle(padded, 2).contiguous(memory_format=torch.channels_last)
    found: Tensor = network.features(folded).mean((0, 2, 3))
    return found.cpu()
