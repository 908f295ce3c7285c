"""Images from label maps: does a segmentation find the labels again, and does it learn from such images?"""

from __future__ import annotations

from statistics import fmean
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.systems.judged import Bench
from benchmarks.systems.per_patient import spread
from benchmarks.systems.plan import SEEDS, TRAINED_ON, downstream
from benchmarks.systems.section import Part, Picture, Section, Table, image_rows, upright, waiting
from medgan_core.data.crops import LabelledCrops
from medgan_core.errors import UsageError
from medgan_core.metrics.overlap import dice
from medgan_core.training.finished import Finished
from medgan_core.training.loading import collate
from medgan_core.training.recipes.detecting import in_parts
from medgan_core.training.recipes.generation import to_signed
from medgan_core.training.recipes.segmentation import Segmentation
from medgan_core.training.recipes.shapes import draw_shapes
from medgan_core.training.recipes.spade import ENCODER, LABELS, Spade, painted

TITLE = "Images from label maps"
SPADE, SEGMENTATION = "spade", "segmentation"
NAMES = {1: "anterior", 2: "posterior"}
"""Parts of the hippocampus by label."""

_SEED = 0
_SHOWN, _STYLES = 8, 4
_AT_ONCE = 16

Dices: TypeAlias = dict[str, list[float]]
"""By label (as text) the Dice of every patient who has it."""


def spade(bench: Bench) -> Section:
    """Dice on images generated from val label maps, and of segmentations trained on generated pairs."""
    if missing := bench.runs.missing([SPADE, SEGMENTATION]):
        return waiting(TITLE, missing)
    found = bench.judged("spade", lambda: found_again(bench, SPADE), runs=[SPADE, SEGMENTATION])
    means = {name: fmean(x for values in dices.values() for x in values) for name, dices in found.items()}
    return Section(
        title=TITLE,
        parts=[
            "Images are generated from the label maps of the val patients, and a segmentation that was "
            "trained on real images of other patients looks for the labels again. Dice over all slices of a "
            "patient together, mean ± standard deviation over n patients. real: their own images, as much as "
            "can be expected. generated: with a random style. own style: with the style that the encoder "
            "reads from the real image. painted: every label with its mean in the real image, without SPADE.",
            _table("images", found),
            *_downstream(bench),
            _picture(bench.runs.open(SPADE), bench.runs.open(SEGMENTATION)),
        ],
        overview={
            SPADE: f"its images are segmented with Dice {means['generated']:.3f} "
            f"(real ones {means['real']:.3f})",
            SEGMENTATION: f"Dice {means['real']:.3f} on real images",
        },
        figures={"found_again": found, "trained": _trained(bench)},
    )


def found_again(bench: Bench, name: str) -> dict[str, Dices]:
    """Dice by kind of image, of the run of a generator with this name."""
    run, segmentation = bench.runs.open(name), bench.runs.open(SEGMENTATION)
    recipe = cast("Spade", run.recipe)
    if recipe.spatial_dims != cast("Segmentation", segmentation.recipe).spatial_dims:
        raise UsageError(
            "The two runs cannot be judged together",
            expected=f"a segmentation with spatial_dims {recipe.spatial_dims}",
            got=str(cast("Segmentation", segmentation.recipe).spatial_dims),
        )
    samples = cast("LabelledCrops", recipe.samples(bench.data, validation=True))
    batch = collate([samples[n] for n in range(len(samples))])
    image, label = batch["image"], batch["label"]
    styles = run.moment(_SEED).normal(len(label), recipe.style)
    images = {"real": image, "generated": _drawn(run, label, styles)}
    if recipe.encode:
        own = in_parts(lambda x: run.networks[ENCODER](to_signed(x))[0], image, run.device)
        images["own style"] = _drawn(run, label, own)
    images["painted"] = painted(image.clamp(0, 1), label)
    return {kind: label_dices(segmentation, made, label, batch["case"]) for kind, made in images.items()}


def _drawn(run: Finished, label: Tensor, styles: Tensor) -> Tensor:
    """Images of label maps (n, 1, *size) with styles (n, style), on the CPU."""
    recipe = cast("Spade", run.recipe)
    both = zip(torch.split(label, _AT_ONCE), torch.split(styles, _AT_ONCE), strict=True)
    with torch.no_grad():
        return torch.cat(
            [recipe.draw(run.networks, a.to(run.device), b.to(run.device)).cpu() for a, b in both]
        )


def _segmented(run: Finished, image: Tensor) -> Tensor:
    """The labels that a segmentation sees, (n, 1, *size)."""
    with torch.no_grad():
        return in_parts(run.networks["model"], image, run.device).argmax(1, keepdim=True)


def label_dices(run: Finished, image: Tensor, label: Tensor, case: Tensor) -> Dices:
    """Dice of each label and case (one crop of a patient), all slices together.

    Args:
        run: of a segmentation.
        image: (n, 1, *size), 0 to 1.
        label: (n, 1, *size).
        case: (n,), whose each image is.
    """
    predicted = _segmented(run, image).numpy()
    truth, cases = label.numpy(), case.numpy()
    found: Dices = {}
    for number in range(1, LABELS):
        each = (
            dice(predicted[cases == c], truth[cases == c], label=number) for c in np.unique(cases).tolist()
        )
        found[str(number)] = [value for value in each if value is not None]
    return found


def _trained(bench: Bench) -> dict[str, list[Dices]]:
    """By what they were trained on, the Dice of the segmentations of all seeds on real val images."""
    plans = {kind: [downstream(kind, seed).name for seed in SEEDS] for kind in TRAINED_ON}
    names = [name for group in plans.values() for name in group]
    if bench.runs.missing(names):
        return {}

    def judge(name: str) -> Dices:
        run = bench.runs.open(name)
        samples = cast("LabelledCrops", run.recipe.samples(bench.data, validation=True))
        batch = collate([samples[n] for n in range(len(samples))])
        return label_dices(run, batch["image"], batch["label"], batch["case"])

    found: dict[str, list[Dices]] = bench.judged(
        "segmentation-trained",
        lambda: {kind: [judge(name) for name in group] for kind, group in plans.items()},
        runs=names,
    )
    return found


def _downstream(bench: Bench) -> list[Part]:
    """What generated pairs are worth for training, in a table."""
    missing = bench.runs.missing(downstream(kind, seed).name for kind in TRAINED_ON for seed in SEEDS)
    if missing:
        told = "; ".join(f"`{name}` {why}" for name, why in missing.items())
        return [f"What generated pairs are worth for training is not judged: {told}."]
    rows = []
    for kind, runs in _trained(bench).items():
        labels = [[fmean(dices[str(n)]) for dices in runs] for n in range(1, LABELS)]
        both = [fmean(values) for values in zip(*labels, strict=True)]
        patients = max(len(values) for values in runs[0].values())
        cells = [spread(values, 3) for values in (both, *labels)]
        rows.append([kind, str(len(runs)), str(patients), *cells])
    heads = ("trained on", "seeds", "patients", "Dice", *(f"Dice {NAMES[n]}" for n in range(1, LABELS)))
    return [
        "Segmentations trained on real images, on pairs that SPADE draws from nothing (maps, too), and on "
        "both in equal parts, with equal updates; Dice on the real images of the val patients, mean over "
        "them, ± standard deviation over seeds:",
        Table(heads, rows),
    ]


def _table(label: str, found: dict[str, Dices]) -> Table:
    rows = [
        [kind, str(max(len(v) for v in dices.values())), *(spread(dices[str(n)], 3) for n in NAMES)]
        for kind, dices in found.items()
    ]
    return Table((label, "n", *(f"Dice {name}" for name in NAMES.values())), rows)


def _picture(run: Finished, segmentation: Finished) -> Picture:
    """Pairs drawn from nothing, in styles that change from row to row; and the maps as seen in the first."""
    recipe = cast("Spade", run.recipe)
    moment = run.moment(_SEED, _SHOWN)
    with torch.no_grad():
        label = draw_shapes(run.networks, _SHOWN, moment).cpu()
        styles = moment.normal(_STYLES, recipe.style)
    images = [_drawn(run, label, style.expand(_SHOWN, -1)) for style in styles]
    maps = {"maps": label, "found": _segmented(segmentation, images[0])}
    shown = {name: upright(each / (LABELS - 1), _SHOWN) for name, each in maps.items()}
    rows = {f"style {n}": upright(each, _SHOWN) for n, each in enumerate(images, start=1)}
    caption = (
        "Label maps drawn from nothing (top), what the segmentation finds in the images of style 1, and the "
        "images; in every row all have the same style."
    )
    return image_rows("spade", caption, [*shown.items(), *rows.items()])
