"""CycleGAN against pix2pix: what pairs are worth, on the same patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines import regression
from benchmarks.systems import heads, per_patient
from benchmarks.systems.judged import Bench
from benchmarks.systems.section import Picture, Section, image_rows, waiting
from benchmarks.systems.whole import apply_whole, slices_last, truth_of
from medgan_core.data.stacks import Stack
from medgan_core.errors import UsageError
from medgan_core.evaluation import score
from medgan_core.training.recipes.cyclegan import TO_B, CycleGAN
from medgan_core.training.recipes.generation import from_signed, to_signed
from medgan_core.training.recipes.pix2pix import Pix2pix
from medgan_core.training.recipes.stabilised import GENERATOR

TITLE = "Translation: with pairs and without"
PIX2PIX, CYCLEGAN = "pix2pix", "cyclegan"
RUNS = (PIX2PIX, CYCLEGAN)
_NETWORK = {PIX2PIX: GENERATOR, CYCLEGAN: TO_B}


def translation(bench: Bench) -> Section:
    """PSNR, SSIM, MAE and MS-SSIM of both systems per patient, against the input itself and a regression."""
    if missing := bench.runs.missing(RUNS):
        return waiting(TITLE, missing)
    recipe = _recipe(bench)
    records = bench.judged("translation", lambda: _records(bench, recipe), runs=RUNS)
    return Section(
        title=TITLE,
        parts=[
            f"{recipe.source} to {recipe.target} of the patients left out of fold {recipe.fold}. pix2pix "
            "learns from pairs of aligned slices; CycleGAN sees the same patients, but never both contrasts "
            "of one of them together. Whole volumes are put together from slices on the grid of the runs "
            f"({recipe.pixel_mm} mm pixels). The truth is divided by the 99.5th percentile of its "
            "foreground, the result fitted to it by one gain; PSNR (peak 1), SSIM and MAE count the "
            "foreground only. "
            "identity: the input taken for the target. linear: a ridge regression on the 13 neighbourhood "
            "features of each voxel, fitted on the training patients. Spread is the standard deviation over "
            "n patients.",
            per_patient.summary(records),
            per_patient.patients_table(records),
            f"In PSNR pix2pix is above CycleGAN for {per_patient.wins(records, PIX2PIX, CYCLEGAN)} "
            f"patients, above the regression for {per_patient.wins(records, PIX2PIX, 'linear')}; CycleGAN is "
            f"above the identity for {per_patient.wins(records, CYCLEGAN, 'identity')}, above the regression "
            f"for {per_patient.wins(records, CYCLEGAN, 'linear')}. CycleGAN's settings were chosen by "
            "looking at these patients, as its recipe's own kept the input's contrast; pix2pix has its own.",
            _picture(bench, recipe),
        ],
        overview={
            name: f"PSNR {per_patient.mean_of(records, name, 'psnr'):.1f} dB, SSIM "
            f"{per_patient.mean_of(records, name, 'ssim'):.2f} (linear "
            f"{per_patient.mean_of(records, 'linear', 'psnr'):.1f} dB, "
            f"{per_patient.mean_of(records, 'linear', 'ssim'):.2f})"
            for name in RUNS
        },
        figures={"records": records},
    )


def _recipe(bench: Bench) -> Pix2pix:
    """The recipe of the paired run, which says what both are judged on."""
    paired = cast("Pix2pix", bench.runs.open(PIX2PIX).recipe)
    unpaired = cast("CycleGAN", bench.runs.open(CYCLEGAN).recipe)
    there = (unpaired.first, unpaired.second, unpaired.fold, unpaired.pixel_mm)
    if there != (paired.source, paired.target, paired.fold, paired.pixel_mm):
        raise UsageError(
            "The two runs cannot be compared",
            expected=f"CycleGAN from {paired.source} to {paired.target}, fold {paired.fold}, "
            f"{paired.pixel_mm} mm",
            got=", ".join(map(str, there)),
            action="train both on the same patients and contrasts",
        )
    return paired


def _made(bench: Bench, name: str, source: Tensor) -> Tensor:
    """What a system makes of a source (slices, h, w)."""
    run = bench.runs.open(name)
    network = run.networks[_NETWORK[name]]
    return apply_whole(
        lambda x: from_signed(network(to_signed(x))),
        source[None],
        spatial_dims=cast("Pix2pix", run.recipe).spatial_dims,
        device=run.device,
    )


def _records(bench: Bench, recipe: Pix2pix) -> list[dict[str, Any]]:
    contrasts = (recipe.source, recipe.target)
    linear = regression.fit(
        [_sampled(s, contrasts) for s in recipe.stacks(bench.data, contrasts, validation=False)],
        contrasts[:1],
        recipe.target,
        kind="linear",
    )
    records = []
    for stack in recipe.stacks(bench.data, contrasts, validation=True):
        source, truth = (truth_of(stack, channel) for channel in (0, 1))
        maps = regression.neighbourhood(source.image, spacing=truth.spacing)
        predictions = {
            **{name: slices_last(_made(bench, name, stack.images[0])) for name in RUNS},
            "identity": source.image,
            "linear": regression.predict(linear, maps, np.ones_like(truth.mask)),
        }
        records += [
            per_patient.record(stack.patient, "→".join(contrasts), method, score(truth, image))
            for method, image in predictions.items()
        ]
    return records


def _sampled(stack: Stack, contrasts: Sequence[str]) -> regression.Sample:
    truths = {name: truth_of(stack, channel) for channel, name in enumerate(contrasts)}
    mask = np.logical_or.reduce([t.mask for t in truths.values()])
    images = {name: t.image for name, t in truths.items()}
    return regression.sample(images, mask, spacing=next(iter(truths.values())).spacing)


def _picture(bench: Bench, recipe: Pix2pix) -> Picture:
    """Both systems on a simulated head, whose truth is known, and on the template, whose is not."""
    head = heads.simulated(bench.data, (recipe.source, recipe.target), pixel_mm=recipe.pixel_mm)
    average = heads.template(recipe.source, pixel_mm=recipe.pixel_mm)
    frame = [max(a, b) for a, b in zip(head.images.shape[2:], average.images.shape[2:], strict=True)]
    columns = [heads.shown(stack, spatial_dims=recipe.spatial_dims) for stack in (head, average)]
    sources = [stack.images[0].float() for stack, _ in columns]

    def row(volumes: Sequence[Tensor]) -> Tensor:
        """The shown slices of both heads, (n, h, w)."""
        shown = zip(volumes, columns, strict=True)
        return torch.cat([heads.framed(volume[slices], frame) for volume, (_, slices) in shown])

    true = row([columns[0][0].images[1], torch.zeros_like(sources[1])])
    systems = [(name, row([_made(bench, name, source) for source in sources])) for name in RUNS]
    caption = (
        f"{recipe.source} to {recipe.target} on a simulated head (left, with its true {recipe.target}) and "
        "on the MNI152 template (right). Training saw neither."
    )
    rows = [(recipe.source, row(sources)), *systems, (f"true {recipe.target}", true)]
    return image_rows("translation", caption, rows)
