"""What each part of GED-GAN brings: structure, interaction, both, at equal updates and at equal time."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from benchmarks.systems.image_sets import FEATURE_RUN, ImageSets
from benchmarks.systems.judged import Bench
from benchmarks.systems.per_patient import spread
from benchmarks.systems.plan import ABLATED, ABLATION_UPDATES, LONG, LONGER, SEEDS, ablation_run, named
from benchmarks.systems.section import Part, Section, Table, not_judged, waiting

TITLE = "GED-GAN: what its parts bring"
PLAIN = "plain"

Figures = dict[str, Any]
Variant = tuple[str, bool]

METHOD = f"""\
The same small networks four ways: plain (spectral norm and the bounded objective, Adam in turn), with the
directions of the structure tensor shown to the discriminator (structure), with competitive gradient
descent (interaction), and with both; conjugate is the cheap interaction. {len(SEEDS)} seeds each; means
and standard deviations over the seeds. KID and coverage as under Images from nothing. A step is the
median time of an update, generator and discriminator, on the core it had. One update of the competitive
step costs several of the others, so the comparison is made twice: after {ABLATION_UPDATES} updates, and
at about the same training time, for which the cheap variants are trained {LONGER} times as long.
{len(SEEDS)} seeds show large effects only."""


def ablation(bench: Bench) -> Section:
    """The section."""
    variants = [(v, long) for long in (False, True) for v in ABLATED if not long or v in LONG]
    names = {key: [ablation_run(key[0], seed, long=key[1]) for seed in SEEDS] for key in variants}
    missing = bench.runs.missing([FEATURE_RUN, *(n for group in names.values() for n in group)])
    there = {key: [n for n in group if n not in missing] for key, group in names.items()}
    if FEATURE_RUN in missing or not there[(PLAIN, False)]:
        return waiting(TITLE, missing)
    sets = ImageSets(bench)
    found = {key: [_figures(bench, sets, n) for n in group] for key, group in there.items() if group}
    equal = {key: runs for key, runs in found.items() if not key[1]}
    timed = {key: found[key] for key in _timed(found)}
    command = f"The command of the first: `{named(ablation_run(PLAIN, SEEDS[0])).short()}`."
    parts: list[Part] = [METHOD, command, *not_judged(missing)]
    parts += [f"At {ABLATION_UPDATES} updates:", _table(equal), *_effects(equal, (PLAIN, False))]
    if (PLAIN, True) in timed:
        parts += ["At about the same training time:", _table(timed), *_effects(timed, (PLAIN, True))]
    figures = {ablation_run(v, -1, long=long).removesuffix("--1"): runs for (v, long), runs in found.items()}
    return Section(title=TITLE, parts=parts, figures={"runs": figures, "missing": missing})


def _timed(found: Mapping[Variant, list[Figures]]) -> list[Variant]:
    """The variants of the comparison at equal time: long ones where there are, else the costly ones."""
    costly = [v for v in ("interaction", "both") if (v, False) in found]
    return [(v, True) for v in LONG if (v, True) in found] + [(v, False) for v in costly]


def _figures(bench: Bench, sets: ImageSets, name: str) -> Figures:
    took, images = bench.runs.summary(name), sets.of_run(name)
    step = 1 / took.per_second if took.per_second else float("nan")
    return {
        "seed": bench.runs.open(name).recipe.seed,
        "updates": took.updates,
        "step": step,
        "minutes": took.updates * step / 60,
        "kid": images["kid"]["value"],
        "coverage": images["coverage"],
        "similarity": images["similarity"],
        "rollbacks": took.rollbacks,
    }


def _table(found: Mapping[Variant, list[Figures]]) -> Table:
    columns = (
        "variant",
        "settings",
        "seeds",
        "updates",
        "step s",
        "updates x step min",
        "KID",
        "coverage",
        "MS-SSIM",
    )
    rows = []
    for (variant, _), runs in found.items():
        cells = [spread([run[key] for run in runs], 3) for key in ("kid", "coverage", "similarity")]
        step, minutes = (fmean(run[key] for run in runs) for key in ("step", "minutes"))
        settings = " ".join(f"`{key}={value}`" for key, value in ABLATED[variant].items())
        counts = [str(len(runs)), str(runs[0]["updates"])]
        rows.append([variant, settings, *counts, f"{step:.2f}", f"{minutes:.1f}", *cells])
    return Table(columns, rows)


def _effects(found: Mapping[Variant, list[Figures]], plain: Variant) -> list[str]:
    """What each variant changes against plain, seed by seed."""
    base = {run["seed"]: run["kid"] for run in found[plain]}
    told = []
    for key, runs in found.items():
        changes = [run["kid"] - base[run["seed"]] for run in runs if run["seed"] in base]
        if key != plain and changes:
            better = f"{sum(change < 0 for change in changes)} of {len(changes)} seeds"
            told.append(f"{key[0]} {fmean(changes):+.3f} (nearer to real images for {better})")
    return ["Change of KID against plain: " + "; ".join(told) + "."] if told else []
