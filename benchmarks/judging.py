"""Runs models and baselines over one patient and scores what comes out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.baselines import nonlocal_means, regression
from benchmarks.cohort import Patient, label, read_contrasts, translations
from benchmarks.scoring import score_trust
from medgan_core.data.manifest import Study
from medgan_core.evaluation import Truth, oriented, score
from medgan_core.physics.noise import rician
from medgan_core.volume import Volume

LEVELS = (3, 9, 15)
BASELINES = {
    "translation": ("identity", "linear", "trees"),
    "denoising": ("noisy", "nlm", *(("bm4d",) if nonlocal_means.bm4d_is_there() else ())),
}
_RING = 6

Apply = Callable[[dict[str, Volume], str], tuple[Volume, Volume | None, str]]
"""(inputs by key, target key) to (image, trust map, verdict of the report)."""


@dataclass(frozen=True)
class Record:
    """Figures of one method in one case of one visit."""

    patient: str
    visit: str
    task: str
    case: str
    method: str
    figures: dict[str, float]
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def truths(study: Study) -> dict[str, Truth]:
    """Every contrast of a visit, ready to be compared with and scaled."""
    brain_only = study.coverage == "brain"
    return {key: Truth.of(v, brain_only=brain_only) for key, v in read_contrasts(study).items()}


def noisy_copy(truth: Truth, level: int, name: str) -> NDArray[np.float32]:
    """Rician noise of `level` % of the truth's percentile; its seed is made from the name of the case."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{name}/{level}".encode()))
    clean = torch.from_numpy(np.maximum(truth.image, 0))
    return np.asarray(rician(clean, level / 100, generator=generator).numpy())


class VoxelRegressions:
    """Regressions for the patients of one fold, fitted on the patients of the others.

    Args:
        others: visits to learn from; none of the patients that are judged.
    """

    def __init__(self, others: Sequence[Study]) -> None:
        self.patients = sorted({study.patient for study in others})
        self._samples = [_sampled(study) for study in others]
        self._fitted: dict[tuple[tuple[str, ...], str, str], regression.Estimator] = {}

    def __call__(self, inputs: tuple[str, ...], target: str, kind: str) -> regression.Estimator:
        """The regression, fitted when it is first asked for."""
        key = (inputs, target, kind)
        if key not in self._fitted:
            self._fitted[key] = regression.fit(self._samples, inputs, target, kind=kind)
        return self._fitted[key]


def _sampled(study: Study) -> regression.Sample:
    images = truths(study)
    first = next(iter(images.values()))
    mask = np.logical_or.reduce([t.mask for t in images.values()])
    return regression.sample({key: t.image for key, t in images.items()}, mask, spacing=first.spacing)


def translate_by_baselines(patient: Patient, regressions: VoxelRegressions) -> list[Record]:
    """Identity (the input that is nearest after its gain) and both regressions."""
    records = []
    for study in patient.visits:
        images = truths(study)
        maps, identity = _maps_of(images), _identities_of(images)
        for case, inputs, target in translations(list(images)):
            truth = images[target]
            place = (patient.name, label(study), "translation", case)
            same = [identity(key, target) for key in inputs]
            records.append(Record(*place, "identity", max(same, key=lambda figures: figures["psnr"])))
            where = _dilated([images[key].mask for key in inputs])
            for kind in regression.ESTIMATORS:
                estimator = regressions(inputs, target, kind)
                image = regression.predict(estimator, [m for key in inputs for m in maps(key)], where)
                records.append(Record(*place, kind, score(truth, image)))
    return records


def translate_by_model(patient: Patient, apply: Apply) -> list[Record]:
    """Every translation that can be asked of the patient's visits, with its trust map."""
    records = []
    for study in patient.visits:
        images, volumes = truths(study), read_contrasts(study)
        for case, inputs, target in translations(list(images)):
            edges = [images[key].image for key in inputs]
            answer = apply({key: volumes[key] for key in inputs}, target)
            figures, verdict = _judge(images[target], answer, edges)
            records.append(Record(patient.name, label(study), "translation", case, "model", figures, verdict))
    return records


def denoise_by_baselines(patient: Patient, levels: Sequence[int]) -> list[Record]:
    """The noisy image itself, non-local means, and BM4D where it is installed; told the true sigma."""
    records = []
    for study, key, truth, level, noisy in _noisy_images(patient, levels):
        sigma = level / 100
        answers = {
            "noisy": noisy,
            "nlm": nonlocal_means.denoise(noisy, sigma, slice_wise=truth.slice_wise),
        }
        if "bm4d" in BASELINES["denoising"]:
            answers["bm4d"] = nonlocal_means.denoise_bm4d(noisy, sigma)
        place = (patient.name, label(study), "denoising", f"{key} {level} %")
        records += [Record(*place, method, score(truth, image)) for method, image in answers.items()]
    return records


def denoise_by_model(patient: Patient, apply: Apply, levels: Sequence[int]) -> list[Record]:
    """Every contrast of the patient at every noise level; the model is not told the level."""
    records = []
    for study, key, truth, level, noisy in _noisy_images(patient, levels):
        answer = apply({"image": truth.back(noisy)}, "image")
        figures, verdict = _judge(truth, answer, [noisy])
        case = f"{key} {level} %"
        records.append(Record(patient.name, label(study), "denoising", case, "model", figures, verdict))
    return records


def _noisy_images(
    patient: Patient, levels: Sequence[int]
) -> Iterator[tuple[Study, str, Truth, int, NDArray[np.float32]]]:
    for study in patient.visits:
        for key, truth in truths(study).items():
            for level in levels:
                yield study, key, truth, level, noisy_copy(truth, level, f"{label(study)}/{key}")


def _judge(
    truth: Truth, answer: tuple[Volume, Volume | None, str], edges: list[NDArray[np.float32]]
) -> tuple[dict[str, float], str]:
    volume, trust, verdict = answer
    if not volume.geometry.close_to(truth.geometry):
        raise ValueError("the result is not on the grid of the truth")
    image = oriented(volume.data[0], volume.geometry)
    figures = score(truth, image)
    if trust is not None:
        expected = oriented(trust.data[0], trust.geometry)
        figures |= score_trust(truth, image, expected, [*edges, image])
    return figures, verdict


def _maps_of(images: dict[str, Truth]) -> Callable[[str], list[NDArray[np.float32]]]:
    """The neighbourhood maps of a contrast, made once."""

    @cache
    def maps(key: str) -> list[NDArray[np.float32]]:
        return regression.neighbourhood(images[key].image, spacing=images[key].spacing)

    return maps


def _identities_of(images: dict[str, Truth]) -> Callable[[str, str], dict[str, float]]:
    """The figures of one contrast taken for another, found once."""

    @cache
    def identity(key: str, target: str) -> dict[str, float]:
        return score(images[target], images[key].image)

    return identity


def _dilated(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The masks together and a ring around them, as wide as the window of SSIM looks beyond a mask."""
    union = np.logical_or.reduce(list(masks))
    return np.asarray(ndimage.maximum_filter(union, (2 * _RING + 1, 2 * _RING + 1, 3)))
