"""How often a training goes wrong, with what keeps it stable and without."""

from __future__ import annotations

from typing import Any

from benchmarks.systems.anchors import NOISE, Anchors
from benchmarks.systems.image_sets import FEATURE_RUN, ImageSets
from benchmarks.systems.judged import Bench
from benchmarks.systems.per_patient import spread
from benchmarks.systems.plan import SEEDS, STABILISERS, STRESSED, named, stability_run
from benchmarks.systems.section import Part, Section, Table, not_judged, waiting
from medgan_core.training.watch import Watch

TITLE = "Stability"

Figures = dict[str, Any]

METHOD = """\
Four adversarial recipes at five times their learning rate, so that trouble comes soon, with small
networks and few updates. bare: no moving average of the weights, no clipping of gradients, no other
stabiliser. stabilised: moving average (0.99), clipping (norm 10), differentiable augmentation, lazy
zero-centred penalty (R1, weight 0.1), instance noise (0.1, falling to 0), and a discriminator that learns
twice as fast. The spectral norm of gedgan and the weight clipping of wgan define these systems and are
always there.

The watch looks at every validation for numbers that are not finite, for a collapse (samples that were
varied and are no more) and for a discriminator that is always right; it goes back to the last good
weights at half the pace, three times, then stops the run. *rollbacks* counts its steps over all seeds,
*stopped* the runs it ended, *collapsed* those whose final samples are all alike by the same rule, and
*lost* those whose samples are no nearer to real images than voxels of noise are, which the watch does not
see; KID, coverage and MS-SSIM are those of the runs that finished, mean and standard deviation."""


def stability(bench: Bench) -> Section:
    """The section."""
    names = {
        (recipe, stabilisers): [stability_run(recipe, stabilisers, seed) for seed in SEEDS]
        for recipe in STRESSED
        for stabilisers in STABILISERS
    }
    every = [name for group in names.values() for name in group]
    missing = bench.runs.missing([FEATURE_RUN, *every])
    stopped = {name: why for name in every if (why := bench.runs.stopped(name))}
    waits = {name: why for name, why in missing.items() if name not in stopped}
    if FEATURE_RUN in waits or len(waits) == len(every):
        return waiting(TITLE, waits)
    sets = ImageSets(bench)
    noise = Anchors(bench, sets).judged(NOISE)["kid"]["value"]
    found = {
        key: [_figures(bench, sets, n, stopped.get(n, ""), noise) for n in group if n not in waits]
        for key, group in names.items()
    }
    found = {key: runs for key, runs in found.items() if runs}
    command = f"The command of the first: `{named(every[0]).short()}`."
    parts: list[Part] = [METHOD, command, _table(found), _verdict(found)]
    parts += [f"`{name}` was stopped: {why}." for name, why in stopped.items()]
    parts += not_judged(waits)
    figures = {f"{recipe} {stabilisers}": runs for (recipe, stabilisers), runs in found.items()}
    return Section(title=TITLE, parts=parts, figures={"runs": figures, "missing": waits})


def _figures(bench: Bench, sets: ImageSets, name: str, why: str, noise: float) -> Figures:
    told: Figures = {"rollbacks": bench.runs.rollbacks(name), "stopped": why}
    if not why:
        images = sets.of_run(name)
        told |= {"kid": images["kid"]["value"]} | {k: images[k] for k in ("coverage", "similarity")}
        diversity = {"diversity": images["similarity"], "diversity_real": sets.real_similarity}
        told["lost"] = told["kid"] >= noise
        told["collapsed"] = bool(Watch(varied=True).trouble(diversity))
    return told


def _table(found: dict[tuple[str, str], list[Figures]]) -> Table:
    columns = (
        "recipe",
        "",
        "settings",
        "seeds",
        "rollbacks",
        "stopped",
        "collapsed",
        "lost",
        "KID",
        "coverage",
        "MS-SSIM",
    )
    rows = []
    for (recipe, stabilisers), runs in found.items():
        counts = [
            sum(run["rollbacks"] for run in runs),
            sum(bool(run["stopped"]) for run in runs),
            sum(run.get("collapsed", False) for run in runs),
            sum(run.get("lost", False) for run in runs),
        ]
        judged = [run for run in runs if not run["stopped"]]
        keys = ("kid", "coverage", "similarity") if judged else ()
        cells = [spread([run[key] for run in judged], 3) for key in keys] or ["-"] * 3
        settings = " ".join(f"`{k}={v}`" for k, v in (STRESSED[recipe] | STABILISERS[stabilisers]).items())
        rows.append(
            [recipe, stabilisers, settings, str(len(runs)), *(str(count) for count in counts), *cells]
        )
    return Table(columns, rows)


def _verdict(found: dict[tuple[str, str], list[Figures]]) -> str:
    """In how many runs the watch stepped in, and how many are worth nothing without that, by the settings."""
    told = []
    for stabilisers in STABILISERS:
        runs = [run for (_, name), group in found.items() if name == stabilisers for run in group]
        troubled = sum(run["rollbacks"] > 0 or bool(run["stopped"]) for run in runs)
        lost = sum(run.get("lost", False) for run in runs)
        told.append(f"{stabilisers}: in {troubled} of {len(runs)} runs, and {lost} finished lost")
    return "The watch had to step in " + "; ".join(told) + "."
