"""Super-resolution across thick slices, against interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, cast, get_args

import torch
from torch import Tensor

from benchmarks.baselines.upsampling import upsample
from benchmarks.systems import heads, per_patient
from benchmarks.systems.judged import Bench
from benchmarks.systems.section import Picture, Section, image_rows, waiting
from benchmarks.systems.whole import apply_whole, slices_last, truth_of
from medgan_core.data.degradation import Profile, thick_slices
from medgan_core.data.stacks import Stack
from medgan_core.evaluation import score
from medgan_core.training.recipes.srgan import SRGAN, signed
from medgan_core.training.recipes.stabilised import GENERATOR
from medgan_core.training.recipes.transforming import contrasts_of

TITLE = "Super-resolution across slices"
RUNS = ("srgan-2x", "srgan-4x")
METHODS = ("linear", "b-spline")
PROFILES = get_args(Profile)
_MODEL = "srgan"
_SHOWN: Profile = "gaussian"
_SIMULATED = "simulated"


def super_resolution(bench: Bench) -> Section:
    """Figures of both factors per patient, beside linear and cubic B-spline interpolation."""
    if missing := bench.runs.missing(RUNS):
        return waiting(TITLE, missing)
    records = bench.judged("super-resolution", lambda: _records(bench), runs=RUNS)
    real = [r for r in records if not r["patient"].startswith(_SIMULATED)]
    simulated = [r for r in records if r["patient"].startswith(_SIMULATED)]
    recipe = cast("SRGAN", bench.runs.open(RUNS[0]).recipe)
    ahead = ", ".join(
        f"{per_patient.wins(real, _MODEL, method, figure=figure)} in {title} of {method}"
        for method in METHODS
        for figure, (title, _) in per_patient.FIGURES.items()
        if figure in ("psnr", "ssim")
    )
    return Section(
        title=TITLE,
        parts=[
            f"Thick slices (learned: {recipe.profiles}) are made of thin ones and undone, on "
            f"patients left out of fold {recipe.fold}. Their own slices are thick already, so the axis from "
            "back to front stands in for the slice axis; training does the same. On a simulated head of 1 mm "
            f"the axis is the slice axis itself. Figures as for translation, at {recipe.pixel_mm} mm.",
            per_patient.summary(real),
            per_patient.patients_table(real),
            f"Cases (patient, contrast, factor, profile) in which the network is ahead: {ahead}.",
            "The same in the slice direction of a simulated head:",
            per_patient.summary(simulated),
            *(_picture(bench, name) for name in RUNS),
        ],
        overview={name: _overview([r for r in real if r["run"] == name]) for name in RUNS},
        figures={"records": records},
    )


def _overview(records: Sequence[per_patient.Plain]) -> str:
    mine, theirs = (
        f"PSNR {per_patient.mean_of(records, method, 'psnr'):.1f} dB, "
        f"SSIM {per_patient.mean_of(records, method, 'ssim'):.3f}"
        for method in (_MODEL, "b-spline")
    )
    return f"{mine} (B-spline {theirs})"


def _records(bench: Bench) -> list[dict[str, Any]]:
    records = []
    for name in RUNS:
        factor = cast("SRGAN", bench.runs.open(name).recipe).factor
        for who, stack, contrasts in _judged(bench, name):
            for (channel, contrast), profile in product(enumerate(contrasts), PROFILES):
                _, made = _restored(bench, name, stack, channel, profile)
                truth = truth_of(stack, channel, columns=made[_MODEL].shape[-1])
                for method, image in made.items():
                    figures = score(truth, slices_last(image))
                    told = per_patient.record(who, f"{factor}x {contrast}, {profile}", method, figures)
                    records.append(told | {"run": name})
    return records


def _judged(bench: Bench, name: str) -> Iterator[tuple[str, Stack, tuple[str, ...]]]:
    """Whose stacks are judged: patients, and a simulated head cut so that w is the slice axis."""
    recipe = cast("SRGAN", bench.runs.open(name).recipe)
    contrasts = contrasts_of(recipe.contrasts)
    for stack in recipe.stacks(bench.data, contrasts, validation=True, plane=recipe.plane):
        yield stack.patient, stack, contrasts
    head = heads.simulated(bench.data, contrasts, pixel_mm=recipe.pixel_mm, plane="coronal")
    yield f"{_SIMULATED} head", head, contrasts


def _restored(
    bench: Bench, name: str, stack: Stack, channel: int, profile: Profile
) -> tuple[Tensor, dict[str, Tensor]]:
    """Thick slices (slices, h, w / factor) of a stack, and by method what is made of them, (slices, h, w)."""
    run = bench.runs.open(name)
    recipe, network = cast("SRGAN", run.recipe), run.networks[GENERATOR]
    fine = stack.images[channel].float()
    fine = fine[..., : fine.shape[-1] // recipe.factor * recipe.factor]
    low = thick_slices(fine, factor=recipe.factor, axis=-1, profile=profile)
    made = apply_whole(
        lambda x: (network(signed(x)) + 1) / 2, low[None], spatial_dims=recipe.spatial_dims, device=run.device
    )
    interpolated = {
        m: torch.from_numpy(upsample(low.numpy(), factor=recipe.factor, method=m)) for m in METHODS
    }
    return low, {_MODEL: made, **interpolated}


def _picture(bench: Bench, name: str) -> Picture:
    """Coronal slices of a simulated head and of the template; the slice axis runs upwards."""
    recipe = cast("SRGAN", bench.runs.open(name).recipe)
    contrast = contrasts_of(recipe.contrasts)[0]
    stacks = [
        heads.simulated(bench.data, [contrast], pixel_mm=recipe.pixel_mm, plane="coronal"),
        heads.template(contrast, pixel_mm=recipe.pixel_mm, plane="coronal"),
    ]
    frame = [max(stack.images.shape[axis] for stack in stacks) for axis in (2, 3)]
    rows: dict[str, list[Tensor]] = {}
    for stack in stacks:
        few, slices = heads.shown(stack, spatial_dims=recipe.spatial_dims)
        low, made = _restored(bench, name, few, 0, _SHOWN)
        thick = low.repeat_interleave(recipe.factor, dim=-1)
        for label, images in {"thick slices": thick, **made, "true": few.images[0]}.items():
            rows.setdefault(label, []).append(heads.framed(images[slices], frame))
    caption = (
        f"Slices {recipe.factor} times as thick, and what is made of them, on a simulated head (left) and "
        f"the MNI152 template (right), {contrast}, coronal."
    )
    return image_rows(name, caption, [(label, torch.cat(images)) for label, images in rows.items()])
