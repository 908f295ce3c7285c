"""Images from nothing: how near each generator's are to those of patients it never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from benchmarks.systems.anchors import ANCHORS, GAUSSIAN, NOISE, Anchors
from benchmarks.systems.features import FEATURES, FRECHET_DIMENSIONS
from benchmarks.systems.image_sets import COPY_DIMENSIONS, FEATURE_RUN, ImageSets
from benchmarks.systems.judged import Bench
from benchmarks.systems.kernel import LEVEL
from benchmarks.systems.section import Part, Section, Table, image_rows, not_judged, upright, waiting
from medgan_core.metrics.copies import LEVEL as COPY_LEVEL
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.flow import Flow

TITLE = "Images from nothing"
SYSTEMS = ("gan", "dcgan", "wgan", "wgan-gp", "sngan", "progressive", "gedgan", "beta-vae", "flow")
STEPS = (1, 2, 4, 8)
_SEED, _SHOWN = 0, 12

Figures = dict[str, Any]

METHOD = f"""\
Every generator draws the same number of images, which are compared with the real images of the patients
listed as val. Training augments its images (moved, turned, scaled, changed in brightness), which blurs
them a little; a generator learns what it is shown, so the real images here are augmented in the same way,
for the generators, for the samplers that need no network, and for the patients listed as val. The second
KID is to their images as they are, and it holds this blur too. {FEATURES}

KID is the squared maximum mean discrepancy of the features (unbiased; pairs from one patient are left
out) with its {LEVEL:.0%} interval over patients and samples drawn with replacement. Frechet is the
Frechet distance on the first {FRECHET_DIMENSIONS} principal components of the features. Density and
coverage count neighbours (k = 5). MS-SSIM is the mean over pairs within the set: above that of real
images means less variety. Copies is the share of images that lie nearer to a training image than
{COPY_LEVEL:.0%} of the real unseen images do (distances on the first {COPY_DIMENSIONS} principal
components of the voxels); blurred images raise it, so singled out counts those that also lie much nearer
to one training patient than to all others.

The first rows are what a generator can be at best, real images against real ones, and what costs no
training: {GAUSSIAN} draws from the Gaussian of the training images' principal components, {NOISE} draws
every voxel from its own normal distribution."""


def generation(bench: Bench) -> Section:
    """The section."""
    if missing := bench.runs.missing([FEATURE_RUN]):
        return waiting(TITLE, missing)
    missing = bench.runs.missing(SYSTEMS)
    there = [name for name in SYSTEMS if name not in missing]
    sets = ImageSets(bench)
    anchors = Anchors(bench, sets)
    found = {name: anchors.judged(name) for name in ANCHORS}
    found |= {
        name: bench.judged(
            f"generation-{name}", partial(_judged, bench, sets, name), runs=[FEATURE_RUN, name]
        )
        for name in there
    }
    steps = {n: _steps(bench, sets, n) for n in STEPS} if "flow" in there else {}
    parts: list[Part] = [METHOD, _table(found), _verdict(found, there)]
    parts += not_judged(missing)
    if steps:
        parts += [
            "The same flow followed in fewer steps (Heun's method, two evaluations a step):",
            _table(steps, "steps"),
        ]
    rows = [
        (name, upright(bench.runs.open(name).draw(_SHOWN, seed=_SEED)["image"], _SHOWN)) for name in there
    ]
    rows.append((GAUSSIAN, upright(anchors.gaussian(_SHOWN), _SHOWN)))
    caption = "Generated images, not chosen: the first of each system, and of the PCA-Gaussian sampler."
    return Section(
        title=TITLE,
        parts=[*parts, image_rows("generation", caption, rows)],
        overview={name: _short(found[name]) for name in there},
        figures={"sets": found, "flow_steps": steps, "missing": missing},
    )


def _judged(bench: Bench, sets: ImageSets, name: str) -> Figures:
    images = bench.runs.open(name).draw(bench.images, seed=_SEED)["image"]
    return sets.figures(images) | sets.copies(images)


def _steps(bench: Bench, sets: ImageSets, steps: int) -> Figures:
    opened = bench.runs.open("flow")

    def judge() -> Figures:
        recipe = dataclasses.replace(cast("Flow", opened.recipe), steps=steps)
        fewer: Finished = dataclasses.replace(opened, recipe=recipe)
        return sets.figures(fewer.draw(bench.images, seed=_SEED)["image"])

    found: Figures = bench.judged(f"generation-flow-{steps}", judge, runs=[FEATURE_RUN, "flow"])
    return found


def _table(found: Mapping[Any, Figures], first: str = "set") -> Table:
    columns = (
        first,
        "images",
        "KID (interval)",
        "KID, not augmented",
        "Frechet",
        "density",
        "coverage",
        "MS-SSIM",
        "copies",
        "singled out",
    )
    return Table(columns, [[str(name), *_cells(figures)] for name, figures in found.items()])


def _cells(f: Figures) -> list[str]:
    rates = [f"{f[key]:.3f}" if key in f else "" for key in ("copies", "singled_out")]
    return [
        str(f["images"]),
        f"{f['kid']['value']:.3f} ({f['kid']['low']:.3f} to {f['kid']['high']:.3f})",
        f"{f['kid_unmoved']['value']:.3f}",
        f"{f['frechet']:.2f}",
        *(f"{f[key]:.3f}" for key in ("density", "coverage", "similarity")),
        *rates,
    ]


def _short(f: Figures) -> str:
    return f"KID {f['kid']['value']:.3f}, coverage {f['coverage']:.2f}"


def _verdict(found: Mapping[str, Figures], there: list[str]) -> str:
    """Which systems are ahead of the sampler that needs no training."""
    if not there:
        return "No generator is finished."
    bar = found[GAUSSIAN]["kid"]
    ahead = [name for name in there if found[name]["kid"]["value"] < bar["value"]]
    clearly = [name for name in ahead if found[name]["kid"]["high"] < bar["low"]]
    best = min(there, key=lambda name: found[name]["kid"]["value"])
    count = f"{len(ahead)} of {len(there)}"
    return (
        f"Ahead of the {GAUSSIAN} sampler in KID: {', '.join(ahead) or 'none'} ({count}); with intervals "
        f"that do not touch: {', '.join(clearly) or 'none'}. Nearest to the real images: {best}."
    )
