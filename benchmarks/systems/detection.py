"""Unusual patches: networks that restore or generate again, against principal components and brightness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from benchmarks.baselines import pca, threshold
from benchmarks.systems import detection_pictures
from benchmarks.systems.judged import Bench
from benchmarks.systems.patches import Patches, Scores, counted, judge, table
from benchmarks.systems.plan import FOLDS, detector
from benchmarks.systems.section import Section, Table, waiting
from medgan_core.data.stacks import FOREGROUND
from medgan_core.training.finished import Finished
from medgan_core.training.loading import collate
from medgan_core.training.recipes.beta_vae import BetaVAE
from medgan_core.training.recipes.dae import DAE, MARGIN, inner
from medgan_core.training.recipes.detecting import in_parts
from medgan_core.training.recipes.f_anogan import FAnoGAN

TITLE = "Unusual patches"
DENOISER, ANOGAN, VAE = detector(0), "f-anogan", "beta-vae-patch"
RUNS = {DENOISER: "DAE", ANOGAN: "f-AnoGAN", VAE: "VAE"}
"""What is judged, and what its score is called."""

PATCHES = 400
COMPONENTS = 8
"""Principal components of the linear autoencoder, as many as the codes of the networks have by default."""


def detection(bench: Bench) -> Section:
    """AUROC and average precision over patches with and without a lesion."""
    denoisers = [detector(fold) for fold in FOLDS]
    if missing := bench.runs.missing({*RUNS, *denoisers}):
        return waiting(TITLE, missing)
    recipe = cast("FAnoGAN", bench.runs.open(ANOGAN).recipe)
    count = min(PATCHES, bench.images)
    found = bench.judged("detection", lambda: _judged(bench, count), runs=RUNS, count=count)
    folds = bench.judged("detection-folds", lambda: _folds(bench, count), runs=denoisers, count=count)
    scores = found["scores"]
    best = max(scores, key=lambda name: float(scores[name]["auroc"]))
    return Section(
        title=TITLE,
        parts=[
            f"Which {recipe.contrast} patches show a lesion? {found['patches']}, left out of fold "
            f"{recipe.fold}; half of the patches show one. Generator, autoencoder and components saw "
            "lesion-free patches only. Most brains that openly licensed sets show are diseased, so these "
            "patches come from patients with lesions elsewhere, and what is called usual may not be "
            "healthy; nor is all that is unusual on the lesion maps (oedema, for one). The first interval "
            "takes patches for independent, which those of one patient are not; the second draws whole "
            "patients, and with so few of them it is coarse.",
            "DAE: mean of the highest 1 % of the map of what is brighter than the network restores; "
            f"it alone sees {MARGIN} pixels around a patch, as in a whole slice. f-AnoGAN: its score "
            "(equation 4). VAE: mean square error of the reconstruction. PCA: residual "
            f"after {COMPONENTS} components, mean of its highest 1 %. deviation: distance from the median of "
            "normal tissue, the same way. brightness: mean of the brightest 1 %, which is a threshold on the "
            "intensity; within patients: its rank among the patches of the same patient. A score that "
            "says nothing has 0.5 in both columns.",
            table(scores),
            f"The highest AUROC is that of {best}.",
            "The DAE and brightness in the patients of every fold, each by the network that never saw them. "
            "How long the DAE trains and the form of its map were chosen on these patients, as there are no "
            "others with marked lesions, so its figures are somewhat too good.",
            Table(
                ("patient", "patches", "AUROC DAE", "AUROC brightness"),
                [[p, *(str(v) for v in row)] for p, row in folds.items()],
            ),
            detection_pictures.slices(bench.runs.open(DENOISER), bench.data),
            detection_pictures.patches(bench.runs.open(ANOGAN), bench.data),
        ],
        overview={
            run: f"AUROC {scores[name]['auroc']:.2f} (brightness {scores['brightness']['auroc']:.2f})"
            for run, name in RUNS.items()
        },
        figures=found,
    )


def _judged(bench: Bench, count: int) -> dict[str, Any]:
    run = bench.runs.open(ANOGAN)
    recipe = cast("FAnoGAN", run.recipe)
    patches = Patches.first(recipe.samples(bench.data, validation=True), count)
    usual = recipe.samples(bench.data, validation=False)
    normal = collate([usual[n] for n in range(count)])["image"].numpy()
    scores = {
        RUNS[ANOGAN]: _anogan(run, patches),
        RUNS[VAE]: _autoencoder(bench.runs.open(VAE), patches),
        **_without_networks(patches, normal[:, 0]),
    }
    judged = {RUNS[DENOISER]: judge(*_denoiser(bench, count))}
    judged |= {name: judge(patches, found) for name, found in scores.items()}
    return {"patches": counted(patches), "scores": judged}


def _folds(bench: Bench, count: int) -> dict[str, tuple[int, str, str]]:
    """By patient: patches, AUROC of the denoiser that did not see the patient, and of brightness."""
    found = {}
    for fold in FOLDS:
        patches, scores = _denoiser(bench, count, fold)
        one, other = (judge(patches, s)["by_patient"] for s in (scores, patches.brightness()))
        for patient, value in one.items():
            shown = int((patches.patients == patient).sum())
            found[patient] = (shown, f"{value:.3f}", f"{other[patient]:.3f}")
    return found


def _denoiser(bench: Bench, count: int, fold: int = 0) -> tuple[Patches, Scores]:
    """Patches of a fold, and their scores by a network that is shown their surroundings too."""
    run = bench.runs.open(detector(fold))
    recipe = cast("DAE", run.recipe)
    shown = Patches.first(recipe.samples(bench.data, validation=True), count)
    around = torch.from_numpy(shown.images)
    with torch.no_grad():
        restored = in_parts(lambda x: recipe.restored(run.networks, x), around, run.device)
    patches = replace(shown, images=inner(around).numpy())
    return patches, recipe.score(around, restored).double().numpy()


def _anogan(run: Finished, patches: Patches) -> Scores:
    recipe = cast("FAnoGAN", run.recipe)
    with torch.no_grad():
        found = in_parts(
            lambda x: recipe.score(run.networks, x), torch.from_numpy(patches.images), run.device
        )
    return found.double().numpy()


def _autoencoder(run: Finished, patches: Patches) -> Scores:
    recipe, images = cast("BetaVAE", run.recipe), torch.from_numpy(patches.images).clamp(0, 1)
    with torch.no_grad():
        made = in_parts(lambda x: recipe.reconstruct(run.networks, x), images, run.device)
    return (made - images).square().flatten(1).mean(1).double().numpy()


def _without_networks(patches: Patches, normal: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Scores]:
    """Scores of what costs no network, fitted to lesion-free training patches (n, *size)."""
    images = patches.images[:, 0]
    inside = images > FOREGROUND
    components = pca.fit(normal, rank=COMPONENTS)
    residual = threshold.linear_residual(images, components, coefficients=components.rank)
    tissue = threshold.NormalIntensity.fit(normal, normal > FOREGROUND)
    brightness = patches.brightness()
    return {
        "PCA": threshold.patch_scores(residual, inside),
        "deviation": threshold.patch_scores(tissue.deviation(images), inside),
        "brightness": brightness,
        "brightness within patients": patches.within_patients(brightness),
    }
