"""What generated patches are worth for training a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any, cast

import numpy as np
import torch

from benchmarks.systems.judged import Bench
from benchmarks.systems.patches import Patches, Scores, counted, judge, table
from benchmarks.systems.per_patient import spread
from benchmarks.systems.plan import FOLDS, SEEDS, TRAINED_ON, downstream
from benchmarks.systems.section import Picture, Section, Table, image_rows, upright, waiting
from medgan_core.metrics.detection import area_under_roc
from medgan_core.training.recipes.classifier import Classifier
from medgan_core.training.recipes.detecting import in_parts

TITLE = "A classifier trained on generated patches"
FLOW = "flow-patch-{}"
PATCHES = 200
"""Patches of each fold."""

_SHOWN = 10


def classification(bench: Bench) -> Section:
    """AUROC on patients left out, of classifiers trained on real patches, on generated ones, and on both."""
    names = [downstream(k, seed, fold).name for k in TRAINED_ON for seed in SEEDS for fold in FOLDS]
    if missing := bench.runs.missing([*names, *(FLOW.format(fold) for fold in FOLDS)]):
        return waiting(TITLE, missing)
    count = min(PATCHES, bench.images)
    found = bench.judged("classification", lambda: _judged(bench, count), runs=names, count=count)
    each = found["each"]
    rows = [
        [kind, spread([fmean(folds) for folds in each[kind]], 3), *_by_fold(each[kind])]
        for kind in TRAINED_ON
    ]
    drawn = downstream("both", 0, 0).needs
    assert drawn is not None  # of what is trained on generated patches
    return Section(
        title=TITLE,
        parts=[
            "Lesion or not is a stand-in for a diagnosis, for which there are no data here. In each of "
            f"{len(FOLDS)} folds a flow learns patches of both classes without the fold's patients and draws "
            f"{drawn.count} of each; classifiers are trained on real patches, on these, and on both in equal "
            f"parts, with {len(SEEDS)} seeds and equal updates, and judged on real patches of the patients "
            "left out.",
            Table(("trained on", "AUROC, mean over folds", *(f"fold {'ABC'[fold]}" for fold in FOLDS)), rows),
            "Above, ± is the standard deviation over seeds. Below, all folds together: the mean logit of "
            f"the seeds, on {found['patches']}. brightness needs no training. DeLong's interval takes "
            "patches for independent; the other one draws whole patients.",
            table(found["together"], "trained on"),
            _picture(bench),
        ],
        overview={
            downstream("real", 0, 0).name: f"AUROC {found['together']['real']['auroc']:.2f}, on generated "
            f"{found['together']['generated']['auroc']:.2f}, on both "
            f"{found['together']['both']['auroc']:.2f} (all folds and seeds)",
            **{
                FLOW.format(fold): "its patches train a classifier to AUROC "
                f"{fmean(folds[n] for folds in each['generated']):.2f}"
                for n, fold in enumerate(FOLDS)
            },
        },
        figures=found,
    )


def _judged(bench: Bench, count: int) -> dict[str, Any]:
    by_fold = [_patches(bench, fold, count) for fold in FOLDS]
    shown = [torch.from_numpy(patches.images) for patches in by_fold]
    logits = {
        kind: [
            [_logits(bench, downstream(kind, seed, fold).name, shown[n]) for n, fold in enumerate(FOLDS)]
            for seed in SEEDS
        ]
        for kind in TRAINED_ON
    }
    every = Patches(
        np.concatenate([p.images for p in by_fold]),
        np.concatenate([p.lesion for p in by_fold]),
        np.concatenate([p.patients for p in by_fold]),
    )
    together: dict[str, Scores] = {
        kind: np.concatenate([np.mean(fold, axis=0) for fold in zip(*seeds, strict=True)])
        for kind, seeds in logits.items()
    }
    each = {
        kind: [
            [area_under_roc(scores, by_fold[n].lesion) for n, scores in enumerate(folds)] for folds in seeds
        ]
        for kind, seeds in logits.items()
    }
    together["brightness"] = every.brightness()
    return {
        "patches": counted(every),
        "each": each,
        "together": {name: judge(every, scores) for name, scores in together.items()},
    }


def _patches(bench: Bench, fold: int, count: int) -> Patches:
    recipe = cast("Classifier", bench.runs.open(downstream("real", 0, fold).name).recipe)
    return Patches.first(recipe.samples(bench.data, validation=True), count)


def _logits(bench: Bench, name: str, images: torch.Tensor) -> Scores:
    """How likely a lesion is in each image for the classifier of that name, (n,)."""
    run = bench.runs.open(name)
    with torch.no_grad():
        logits = in_parts(run.networks["model"], images, run.device)
    return (logits[:, 1] - logits[:, 0]).double().numpy()


def _by_fold(seeds: list[list[float]]) -> list[str]:
    return [spread(list(values), 3) for values in zip(*seeds, strict=True)]


def _picture(bench: Bench) -> Picture:
    """Patches of both classes as a flow draws them, sorted by a classifier."""
    drawn: Mapping[str, torch.Tensor] = bench.runs.open(FLOW.format(FOLDS[0])).draw(_SHOWN)
    judge = downstream("real", 0, FOLDS[0]).name
    rows = []
    for name, images in drawn.items():
        order = np.argsort(_logits(bench, judge, images))
        rows.append((name.replace("-", " "), upright(images[order], _SHOWN)))
    caption = (
        "Patches that the flow draws for each class; the further right, the likelier a lesion for the "
        "classifier trained on real patches."
    )
    return image_rows("classification", caption, rows)
