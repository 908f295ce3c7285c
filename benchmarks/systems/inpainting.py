"""Repair of holes, against the smoothest surface over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines import biharmonic
from benchmarks.systems import heads, per_patient
from benchmarks.systems.judged import Bench
from benchmarks.systems.section import Picture, Section, image_rows, upright, waiting
from benchmarks.systems.whole import Array
from medgan_core import metrics
from medgan_core.data.degradation import MaskedSamples
from medgan_core.data.stacks import FOREGROUND
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.generation import from_signed, to_signed
from medgan_core.training.recipes.inpaint import Inpaint
from medgan_core.training.recipes.stabilised import GENERATOR
from medgan_core.training.recipes.transforming import DepthLast, contrasts_of

TITLE = "Repair of holes"
RUN = "inpaint"
IMAGES = 48
"""Holes of each kind."""

_MODEL, _SMOOTH = "inpaint", "biharmonic"
_FIGURES = ("psnr", "ssim", "mae")
_LEAST = 10  # voxels of foreground in a hole that counts
_SHOWN = 3


def inpainting(bench: Bench) -> Section:
    """PSNR, SSIM and MAE within the hole, per patient and per kind of hole."""
    if missing := bench.runs.missing([RUN]):
        return waiting(TITLE, missing)
    recipe = cast("Inpaint", bench.runs.open(RUN).recipe)
    count = min(IMAGES, bench.images)
    records = bench.judged("inpainting", lambda: _records(bench, count), runs=[RUN], count=count)
    kinds = dict.fromkeys(r["case"] for r in records)
    ahead = "; ".join(
        f"{kind} {per_patient.wins([r for r in records if r['case'] == kind], _MODEL, _SMOOTH)}"
        for kind in kinds
    )
    means = [per_patient.mean_of(records, method, "psnr") for method in (_MODEL, _SMOOTH)]
    return Section(
        title=TITLE,
        parts=[
            f"{count} holes of each kind in slices of the patients left out of fold {recipe.fold} "
            f"({recipe.contrasts}, {recipe.pixel_mm} mm). What surrounds a hole tells the scale, so there is "
            "no gain; figures count the foreground in the hole alone and are means over a patient's holes, "
            "then over n patients. Shapes of lesions come from training patients. biharmonic: the solution "
            "of the biharmonic equation over the hole.",
            per_patient.summary(records, figures=_FIGURES),
            per_patient.patients_table(records),
            f"Patients for whom the network is ahead in PSNR: {ahead}."
            + " Slices that miss in an image of two dimensions are lines." * (recipe.spatial_dims == 2),
            _picture(bench, recipe),
        ],
        overview={RUN: f"PSNR in the hole {means[0]:.1f} dB (biharmonic {means[1]:.1f} dB)"},
        figures={"records": records},
    )


def _records(bench: Bench, count: int) -> list[dict[str, Any]]:
    run = bench.runs.open(RUN)
    recipe = cast("Inpaint", run.recipe)
    stacks = recipe.stacks(bench.data, contrasts_of(recipe.contrasts), validation=True)
    patients = [stack.patient for stack in stacks]
    records = []
    for kind in (k.strip() for k in recipe.holes.split(",")):
        samples = replace(recipe, holes=kind).samples(bench.data, validation=True)
        for number in range(count):
            sample = samples[number]
            truth, hole = _array(sample["image"].clamp(0, 1)), _array(sample["hole"]) > 0
            inside = hole & (truth > FOREGROUND)
            if np.count_nonzero(inside) < _LEAST:
                continue
            who = patients[int(sample["case"])]
            for method, filled in _filled(run, sample["image"], sample["hole"]).items():
                arguments = (_array(filled), truth, inside)
                figures = {
                    "psnr": metrics.peak_signal_to_noise(*arguments),
                    "ssim": metrics.structural_similarity(*arguments, slice_wise=True),
                    "mae": metrics.mean_absolute_error(*arguments),
                }
                records.append(per_patient.record(who, kind, method, figures, _FIGURES))
    return records


def _filled(run: Finished, image: Tensor, hole: Tensor) -> dict[str, Tensor]:
    """By method a repaired image (1, *spatial) in [0, 1]."""
    with torch.no_grad():
        given = (to_signed(image)[None].to(run.device), hole[None].to(run.device))
        made = from_signed(run.networks[GENERATOR](*given))[0].float().cpu()
    known, missing = _array(image.clamp(0, 1)), _array(hole) > 0
    whole_slices = bool(missing.all(axis=(0, 1)).any())
    smooth = biharmonic.repair(known, missing, slice_wise=not whole_slices)
    return {_MODEL: made, _SMOOTH: torch.from_numpy(smooth).reshape(image.shape)}


def _array(image: Tensor) -> Array:
    """An image (1, h, w) or (1, h, w, slices) as (h, w, slices)."""
    return np.asarray(image[0].reshape(*image.shape[1:3], -1).numpy(), dtype=np.float32)


def _picture(bench: Bench, recipe: Inpaint) -> Picture:
    """Holes in a simulated head and in the template, and what fills them."""
    contrast = contrasts_of(recipe.contrasts)[0]
    run = bench.runs.open(RUN)
    rows: dict[str, list[Tensor]] = {}
    for stack in (
        heads.simulated(bench.data, [contrast], pixel_mm=recipe.pixel_mm),
        heads.template(contrast, pixel_mm=recipe.pixel_mm),
    ):
        slices = DepthLast(recipe.slices([stack], validation=True))
        holes = MaskedSamples(slices, kinds=("blob", "box"), seed=recipe.seed)
        for number in range(_SHOWN):
            sample = holes[number]
            filled = _filled(run, sample["image"], sample["hole"])
            blank = torch.maximum(sample["image"], sample["hole"])
            for label, image in {"hole": blank, **filled, "true": sample["image"]}.items():
                rows.setdefault(label, []).append(upright(image[None], 1))
    caption = f"Holes in a simulated head (left) and in the MNI152 template (right), {contrast}."
    return image_rows("inpainting", caption, [(label, torch.cat(images)) for label, images in rows.items()])
