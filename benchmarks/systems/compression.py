"""Rate and distortion: coded bytes of autoencoders' codes against JPEG 2000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.baselines.jpeg2000 import rate_distortion
from benchmarks.systems.crops import real_crops
from benchmarks.systems.judged import Bench
from benchmarks.systems.plan import SYSTEMS
from benchmarks.systems.section import Picture, Section, Table, not_judged, waiting
from benchmarks.systems.stacks import patient_volumes
from medgan_core.metrics import peak_signal_to_noise
from medgan_core.metrics.latent_rate import LatentCodec, bits_per_voxel
from medgan_core.networks.autoencoder import Autoencoder
from medgan_core.training.recipes.ae import AE
from medgan_core.training.recipes.judging import FOREGROUND

TITLE = "Compression"
RUNS = tuple(p.name for p in SYSTEMS if p.recipe == "ae" and "rate" in p.settings)
TARGETS = (0.1, 0.2, 0.4, 0.8, 1.6)
JPEG, PAYLOAD = "JPEG 2000", "JPEG 2000 without headers"
_AT_ONCE = 64

Curve = list[dict[str, Any]]

METHOD = """\
The `ae-rate` runs are trained for the error plus a rate times the bits. Their codes are rounded and coded
to bytes by an entropy coder whose tables were fitted to the training images' codes; every stream is
decoded and compared. JPEG 2000 codes all slices of a patient in one picture, so that they share one
header; where that is still too much, the second curve leaves the headers out. Bits are whole bytes of the
streams over all voxels, PSNR counts the foreground, per patient, mean over the patients."""


def compression(bench: Bench) -> Section:
    """The section."""
    missing = bench.runs.missing(RUNS)
    there = [name for name in RUNS if name not in missing]
    if not there:
        return waiting(TITLE, missing)
    codes = {n: bench.judged(f"compression-{n}", partial(_coded, bench, n), runs=[n]) for n in there}
    jpeg: Curve = bench.judged(
        "compression-jpeg2000", lambda: _jpeg(bench, there[0]), runs=[there[0]], targets=TARGETS
    )
    curves = {
        "autoencoder": sorted(codes.values(), key=lambda point: fmean(point["bits"])),
        JPEG: [{"bits": p["bits"], "psnr": p["psnr"]} for p in jpeg],
        PAYLOAD: [{"bits": p["payload"], "psnr": p["psnr"]} for p in jpeg],
    }
    picture = Picture(
        "compression", "Bits per voxel against PSNR, means over the patients.", lambda f: _plot(f, curves)
    )
    return Section(
        title=TITLE,
        parts=[METHOD, *not_judged(missing), _table(codes, jpeg), _verdict(curves), picture],
        overview={
            n: f"{fmean(point['bits']):.2f} bits per voxel at {fmean(point['psnr']):.1f} dB"
            for n, point in codes.items()
        },
        figures={"autoencoder": codes, "jpeg2000": jpeg, "missing": missing},
    )


def _coded(bench: Bench, name: str) -> dict[str, Any]:
    """Bits per voxel and PSNR of every val patient, from streams that were decoded again."""
    opened = bench.runs.open(name)
    recipe = cast("AE", opened.recipe)
    training, held_back = (
        real_crops(bench.data, spatial_dims=recipe.spatial_dims, validation=v) for v in (False, True)
    )
    network = cast("Autoencoder", opened.networks.exact("model"))
    codec = LatentCodec.fit(_codes(network, training.images), step=1.0)
    values = codec.quantise(_codes(network, held_back.images))
    streams = [codec.encode(one) for one in values]
    back = np.stack([codec.decode(s, values.shape[1:]) for s in streams])
    made = _images(network, torch.from_numpy(codec.dequantise(back)))
    spatial = held_back.images.shape[2:]
    rates = np.array([bits_per_voxel(stream, spatial) for stream in streams])
    patients = held_back.patients
    return {
        "rate": recipe.rate,
        "bits": [float(rates[patients == p].mean()) for p in np.unique(patients)],
        "psnr": _psnr(made, held_back.images, patients),
    }


def _codes(network: Autoencoder, images: Tensor) -> NDArray[np.float32]:
    with torch.no_grad():
        return torch.cat([network.encode(part) for part in torch.split(images, _AT_ONCE)]).numpy()


def _images(network: Autoencoder, codes: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network.decode(part) for part in torch.split(codes, _AT_ONCE)]).clamp(0, 1)


def _psnr(images: Tensor, truth: Tensor, patients: NDArray[np.integer[Any]]) -> list[float]:
    pairs = zip(patient_volumes(images, patients), patient_volumes(truth, patients), strict=True)
    return [peak_signal_to_noise(made, true, true > FOREGROUND) for made, true in pairs]


def _jpeg(bench: Bench, name: str) -> Curve:
    """The same of JPEG 2000 at every target."""
    recipe = cast("AE", bench.runs.open(name).recipe)
    crops = real_crops(bench.data, spatial_dims=recipe.spatial_dims, validation=True)
    points = [
        rate_distortion(volume, TARGETS, mask=volume > FOREGROUND, mosaic=True)
        for volume in patient_volumes(crops.images, crops.patients)
    ]
    return [
        {
            "target": target,
            "bits": [p.bits_per_voxel for p in at],
            "payload": [p.payload_bits_per_voxel for p in at],
            "psnr": [p.psnr for p in at],
        }
        for target, at in zip(TARGETS, zip(*points, strict=True), strict=True)
    ]


def _table(codes: Mapping[str, dict[str, Any]], jpeg: Curve) -> Table:
    rows = [[f"`{name}`", *_cells(point["bits"], point["psnr"])] for name, point in codes.items()]
    rows += [[f"{JPEG}, target {p['target']}", *_cells(p["bits"], p["psnr"])] for p in jpeg]
    return Table(("code", "bits per voxel", "PSNR dB", "patients"), rows)


def _cells(bits: Sequence[float], psnr: Sequence[float]) -> list[str]:
    return [f"{fmean(bits):.3f}", f"{fmean(psnr):.2f} ± {stdev(psnr):.2f}", str(len(psnr))]


def _verdict(curves: Mapping[str, Curve]) -> str:
    """The autoencoder's PSNR against JPEG 2000's at the same bits, where their ranges meet."""
    told = []
    for name in (JPEG, PAYLOAD):
        bits, psnr = ([fmean(point[key]) for point in curves[name]] for key in ("bits", "psnr"))
        for point in curves["autoencoder"]:
            at = fmean(point["bits"])
            if min(bits) <= at <= max(bits):
                gap = fmean(point["psnr"]) - float(np.interp(at, bits, psnr))
                told.append(f"{gap:+.1f} dB against {name} at {at:.2f} bits per voxel")
            elif at < min(bits) and (
                same := [b for b, p in zip(bits, psnr, strict=True) if p >= fmean(point["psnr"])]
            ):
                told.append(f"{min(same) / at:.1f} times fewer bits than {name} at its PSNR or below")
    return "The autoencoder's code: " + ("; ".join(told) or "no rate in common with JPEG 2000") + "."


def _plot(file: Path, curves: Mapping[str, Curve]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axis = figure.subplots()
    for (name, curve), style in zip(curves.items(), ("o-", "s--", "^:"), strict=True):
        axis.plot([fmean(p["bits"]) for p in curve], [fmean(p["psnr"]) for p in curve], style, label=name)
    axis.set_xlabel("bits per voxel")
    axis.set_ylabel("PSNR (dB)")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(file, dpi=100)
