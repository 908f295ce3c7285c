"""Autoencoders: what a code of the same length keeps, against principal components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from statistics import fmean
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines import pca
from benchmarks.systems.crops import Crops, real_crops
from benchmarks.systems.judged import Bench
from benchmarks.systems.per_patient import spread
from benchmarks.systems.section import Part, Section, Table, image_rows, not_judged, upright, waiting
from benchmarks.systems.stacks import patient_volumes
from medgan_core.metrics import peak_signal_to_noise, structural_similarity
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.ae import AE
from medgan_core.training.recipes.beta_vae import BetaVAE
from medgan_core.training.recipes.judging import FOREGROUND

TITLE = "Reconstruction"
SYSTEMS = ("ae", "beta-vae")
SHOWN_ON = "flow"
"""Run whose images are shown through the codes, since those of patients are not."""

_AT_ONCE, _SHOWN, _SEED = 64, 12, 0

Figures = dict[str, Any]

METHOD = f"""\
Hippocampus images of the patients listed as val, through a code and back. PCA keeps as many coefficients
as the code has numbers, fitted to the same training images. PSNR (peak 1, no gain) and SSIM (11-voxel
Gaussian window, slice-wise) count voxels brighter than {FOREGROUND:.0%} of the 99.5th percentile; per
patient, then mean and spread over the patients."""


def reconstruction(bench: Bench) -> Section:
    """The section: reconstruction, and what the beta-VAE draws."""
    missing = bench.runs.missing(SYSTEMS)
    found = {
        n: bench.judged(f"reconstruction-{n}", partial(_judge, bench, n), runs=[n])
        for n in SYSTEMS
        if n not in missing
    }
    if not found:
        return waiting(TITLE, missing)
    parts: list[Part] = [METHOD, _table(found), *not_judged(missing)]
    parts += [_verdict(name, figures) for name, figures in found.items()]
    if not bench.runs.missing([SHOWN_ON]):
        parts.append(_reconstructed(bench, found))
    if "beta-vae" not in missing:
        parts.append(_samples(bench.runs.open("beta-vae")))
    return Section(
        title=TITLE,
        parts=parts,
        overview={
            n: f"PSNR {fmean(f['psnr']):.1f} dB (PCA {fmean(f['psnr_pca']):.1f})" for n, f in found.items()
        },
        figures={"reconstruction": found, "missing": missing},
    )


def _judge(bench: Bench, name: str) -> Figures:
    """Per patient PSNR and SSIM of the network and of as many principal components."""
    opened = bench.runs.open(name)
    recipe = cast("AE | BetaVAE", opened.recipe)
    training, held_back = (
        real_crops(bench.data, spatial_dims=recipe.spatial_dims, validation=v) for v in (False, True)
    )
    length = _code_length(opened)
    components = pca.fit(training.images.numpy())
    kept = min(length, components.rank)
    linear = torch.from_numpy(components.reconstruct(held_back.images.numpy(), coefficients=kept))
    with torch.no_grad():
        made = torch.cat(
            [recipe.reconstruct(opened.networks, part) for part in torch.split(held_back.images, _AT_ONCE)]
        )
    figures: Figures = {"code": length, "coefficients": kept}
    for ending, images in (("", made), ("_pca", linear.clamp(0, 1))):
        figures |= {key + ending: values for key, values in _per_patient(images, held_back).items()}
    return figures


def _per_patient(images: Tensor, truth: Crops) -> dict[str, list[float]]:
    psnr, ssim = [], []
    for made, true in zip(
        patient_volumes(images, truth.patients), patient_volumes(truth.images, truth.patients), strict=True
    ):
        mask = true > FOREGROUND
        psnr.append(peak_signal_to_noise(made, true, mask))
        ssim.append(structural_similarity(made, true, mask, slice_wise=images.ndim == 4))
    return {"psnr": psnr, "ssim": ssim}


def _code_length(opened: Finished) -> int:
    """Numbers in a code."""
    latent: tuple[int, ...] = opened.networks.exact("model").latent  # type: ignore[assignment]
    return int(np.prod(latent))


def _table(found: Mapping[str, Figures]) -> Table:
    rows = []
    for name, f in found.items():
        for method, ending, size in ((name, "", f["code"]), ("PCA", "_pca", f["coefficients"])):
            cells = [spread(f[f"psnr{ending}"], 2), spread(f[f"ssim{ending}"], 3)]
            rows.append([method, str(size), *cells, str(len(f["psnr"]))])
    return Table(("method", "numbers in the code", "PSNR dB", "SSIM", "patients"), rows)


def _verdict(name: str, f: Figures) -> str:
    wins = sum(a > b for a, b in zip(f["psnr"], f["psnr_pca"], strict=True))
    gain = fmean(f["psnr"]) - fmean(f["psnr_pca"])
    people = f"{wins} of {len(f['psnr'])} patients"
    return f"`{name}` is above PCA in PSNR for {people}, by {gain:+.2f} dB in the mean."


def _reconstructed(bench: Bench, names: Iterable[str]) -> Part:
    """Images that another system generated, and what comes back of them."""
    images = bench.runs.open(SHOWN_ON).draw(_SHOWN, seed=_SEED)["image"]
    rows = [("generated", upright(images, _SHOWN))]
    with torch.no_grad():
        for name in names:
            opened = bench.runs.open(name)
            made = cast("AE | BetaVAE", opened.recipe).reconstruct(opened.networks, images)
            rows.append((name, upright(made, _SHOWN)))
    caption = f"Images that `{SHOWN_ON}` generated, and what the codes keep of them."
    return image_rows("reconstruction", caption, rows)


def _samples(opened: Finished) -> Part:
    """Samples of the beta-VAE, and ways between two of them."""
    recipe = cast("BetaVAE", opened.recipe)
    drawn = opened.draw(_SHOWN + 4, seed=_SEED)["image"]
    rows = [("samples", upright(drawn, _SHOWN))]
    with torch.no_grad():
        for n in (0, 2):
            ends = drawn[_SHOWN + n], drawn[_SHOWN + n + 1]
            way = recipe.interpolate(opened.networks, ends[0][None], ends[1][None], _SHOWN)
            rows.append(("from one to another", upright(way, _SHOWN)))
    return image_rows(
        "beta-vae", "Samples of the beta-VAE, and straight ways between the codes of two samples.", rows
    )
