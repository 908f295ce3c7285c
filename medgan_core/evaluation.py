"""Measuring a model on patients whose truth is known, by the conventions that every figure follows.

The truth is divided by the 99.5th percentile of its foreground, the prediction is fitted to it by one
least-squares gain; only the truth's foreground counts. Where slices are thick SSIM works in their plane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core import evaluation_labels, io, metrics
from medgan_core.card import ModelCard
from medgan_core.data.manifest import Manifest, Study
from medgan_core.data.studies import heads
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UsageError
from medgan_core.foreground import foreground, percentile_scale
from medgan_core.monitor import Monitor, Progress
from medgan_core.physics.noise import rician
from medgan_core.preprocess import slice_axes
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume

FIGURES = ("psnr", "ssim", "mae", "ms_ssim")
_THICK = 1.5
_SUGGEST = "suggest"


def oriented(array: NDArray[Any], geometry: Geometry) -> NDArray[np.float32]:
    """A copy of (i, j, k) with the slices along the last axis, float32."""
    axes, flips = slice_axes(geometry)
    view = array.transpose(axes)
    return np.ascontiguousarray(np.flip(view, flips) if flips else view, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """A true image ready to be compared with.

    Args:
        image: (i, j, k), slices last, 1 = the 99.5th percentile of the foreground.
        mask: the foreground, the same shape.
        scale: the value that became 1, in the file's unit.
        geometry: of the file.
        spacing: along (i, j, k) of `image` in mm.
        slice_wise: slices are thick.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    scale: float
    geometry: Geometry
    spacing: tuple[float, float, float]
    slice_wise: bool

    @staticmethod
    def of(volume: Volume, *, brain_only: bool) -> Truth:
        """From a volume as read; `brain_only` tells that its background was removed."""
        data = oriented(volume.data[0], volume.geometry)
        mask = foreground(data, stripped=brain_only)
        scale = percentile_scale(data, mask)
        axes, _ = slice_axes(volume.geometry)
        i, j, k = (volume.geometry.spacing[a] for a in axes)
        return Truth(
            data / np.float32(scale), mask, scale, volume.geometry, (i, j, k), k > _THICK * max(i, j)
        )

    def back(self, image: NDArray[np.float32]) -> Volume:
        """An image on this grid, such as a noisy copy, as a volume in the file's own order and unit."""
        axes, flips = slice_axes(self.geometry)
        view = np.flip(image, flips) if flips else image
        inverse = [axes.index(a) for a in range(3)]
        data = np.ascontiguousarray(view.transpose(inverse)) * np.float32(self.scale)
        return Volume(data, self.geometry)


def score(truth: Truth, image: NDArray[np.float32]) -> dict[str, float]:
    """PSNR (dB), SSIM, MAE and MS-SSIM of an image of any scale, and the gain that was fitted."""
    gain = metrics.fit_gain(image, truth.image, truth.mask)
    fitted = np.float32(gain) * image
    arguments = (fitted, truth.image, truth.mask)
    return {
        "psnr": metrics.peak_signal_to_noise(*arguments),
        "ssim": metrics.structural_similarity(*arguments, slice_wise=truth.slice_wise),
        "mae": metrics.mean_absolute_error(*arguments),
        "ms_ssim": metrics.multi_scale_ssim(*arguments, slice_wise=truth.slice_wise),
        "gain": gain,
    }


def evaluate(
    model: str,
    *,
    data: Path,
    split: str = "val",
    registry: Registry | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Figures of a model on every patient of a split, without baselines (benchmarks/quality.py has those).

    Args:
        model: its name in the registry.
        data: folder with manifest.csv.
        split: ``train`` or ``val``; the card says what the model was trained on.
        registry: where models are found.
        progress: called before every study.
        cancel: polled before every study and while the model works.

    Returns:
        A row per case: patient, visit, case, psnr (dB), ssim, mae, ms_ssim, coverage of the 90 % interval; of
        suggestions those of `evaluation_labels.measure`.

    Raises:
        UsageError: when there is nothing to measure, or the model's task has no such measure.
    """
    session = Session(registry=registry)
    card = session.registry.card(model)
    if card.task not in (*_CASES, _SUGGEST):
        raise UsageError(
            f"The model {model!r} cannot be evaluated",
            expected="a model for " + " or ".join((*_CASES, _SUGGEST)),
            got=card.task,
            action="choose another model",
        )
    manifest = Manifest.load(data)
    chosen = manifest.studies if card.task == _SUGGEST else heads(manifest)
    studies = [study for study in chosen if study.split == split]
    monitor = Monitor(progress, cancel)
    rows = []
    with monitor.stage("evaluate", 1.0):
        for number, study in enumerate(studies):
            monitor.step(number / len(studies))
            rows += measure(session, model, study, cancel=cancel)
    if not rows:
        raise UsageError("No patient of this split fits the model", expected="train or val", got=split)
    return rows


def measure(
    session: Session, model: str, study: Study, *, cancel: Callable[[], bool] | None = None
) -> list[dict[str, Any]]:
    """Figures of a model on one study.

    Args:
        session: its registry has the model, which translates, denoises or suggests.
        model: its name.
        study: whose images, or label map, are the truth.
        cancel: polled while the model works.

    Returns:
        The rows of `evaluate`; none when the study does not fit the model.
    """
    card = session.registry.card(model)
    if card.task == _SUGGEST:
        return evaluation_labels.measure(session, model, study, cancel=cancel)
    rows = []
    for name, inputs, target, truth in _CASES[card.task](card, study):
        options = RunOptions(target=target, settings={"allow_unsuitable": True})
        outcome = run(session, model, inputs, options, cancel=cancel)
        image = oriented(outcome.volumes[target].data[0], truth.geometry)
        figures = score(truth, image)
        if "trust" in outcome.volumes:
            expected = oriented(outcome.volumes["trust"].data[0], truth.geometry)
            error = np.float32(figures["gain"]) * image - truth.image
            expected = np.float32(abs(figures["gain"])) * expected
            figures["coverage"] = metrics.interval_coverage(expected, error, truth.mask)
        rows.append({"patient": study.patient, "visit": study.visit, "case": name, **figures})
    return rows


Case = tuple[str, dict[str, Volume], str, Truth]


def _truths(study: Study, keys: tuple[str, ...]) -> dict[str, tuple[Volume, Truth]]:
    brain_only = study.coverage == "brain"
    volumes = {key: io.read(study.images[key]) for key in keys if key in study.images}
    return {key: (v, Truth.of(v, brain_only=brain_only)) for key, v in volumes.items()}


def _translations(card: ModelCard, study: Study) -> Iterator[Case]:
    """Each target from every other contrast that is there."""
    found = _truths(study, tuple(port.key for port in card.inputs))
    for target in card.targets:
        others = {key: volume for key, (volume, _) in found.items() if key != target}
        if target in found and others:
            yield f"{'+'.join(others)}->{target}", others, target, found[target][1]


def _denoisings(card: ModelCard, study: Study) -> Iterator[Case]:
    """Every MR image at three levels of Rician noise."""
    found = _truths(study, study.magnitudes)
    for key, (_, truth) in found.items():
        for level in (3, 9, 15):
            generator = torch.Generator().manual_seed(level)
            clean = torch.from_numpy(truth.image)
            noisy = rician(clean, level / 100, generator=generator).numpy()
            yield f"{key} {level} %", {card.inputs[0].key: truth.back(noisy)}, card.targets[0], truth


_CASES: dict[str, Callable[[ModelCard, Study], Iterator[Case]]] = {
    "translate": _translations,
    "denoise": _denoisings,
}
