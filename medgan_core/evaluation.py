"""Measuring a model on patients whose truth is known, by the conventions that every figure follows.

The truth is divided by the 99.5th percentile of its foreground, the prediction is fitted to it by one
least-squares gain; only the truth's foreground counts. Where slices are thick SSIM works in their plane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core import evaluation_labels, io, metrics
from medgan_core.card import LABEL_MAP, ModelCard
from medgan_core.data.manifest import Manifest, Study
from medgan_core.data.studies import shows_head, shows_one_image
from medgan_core.data.study import select
from medgan_core.engine import Outcome, RunOptions, Session, run
from medgan_core.errors import UsageError
from medgan_core.evaluation_labels import LeftOut
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


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Figures of a model on the patients of a split.

    Args:
        rows: per case: patient, visit, case, psnr (dB), ssim, mae, ms_ssim, coverage of the 90 % interval; of
            suggestions those of `evaluation_labels.measure`.
        left_out: patient, visit and reason of every study that gave none.
    """

    rows: list[dict[str, Any]]
    left_out: list[dict[str, str]]

    @property
    def reasons(self) -> list[str]:
        """Why studies were left out, such as ``2 studies: empty label map``."""
        counts = Counter(one["reason"] for one in self.left_out)
        return [f"{n} {'study' if n == 1 else 'studies'}: {reason}" for reason, n in counts.items()]


def evaluate(
    model: str,
    *,
    data: Path,
    split: str = "val",
    truth: str = LABEL_MAP,
    sets: str = "",
    registry: Registry | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """Figures of a model on every patient of a split, without baselines (benchmarks/quality.py has those).

    Args:
        model: its name in the registry.
        data: folder with manifest.csv.
        split: ``train`` or ``val``; the card says what the model was trained on.
        truth: key of the label map that suggestions are held against.
        sets: names of the data sets to measure on, with commas; "" for all.
        registry: where models are found.
        progress: called before every study.
        cancel: polled before every study and while the model works.

    Raises:
        UsageError: when there is nothing to measure, the model's task has no such measure, or label maps of
            several data sets could be the truth of a suggestion and none is named.
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
    wanted = [name for name in sets.split(",") if name]
    studies = [s for s in select(Manifest.load(data).studies, sources=wanted) if s.split == split]
    if card.task == _SUGGEST and not wanted:
        _check_truth(card, studies, truth)
    monitor = Monitor(progress, cancel)
    found = Evaluation(rows=[], left_out=[])
    with monitor.stage("evaluate", 1.0):
        for number, study in enumerate(studies):
            monitor.step(number / len(studies))
            try:
                _check_shown(card, study)
                found.rows.extend(_measured(session, model, study, truth, cancel))
            except LeftOut as reason:
                left = {"patient": study.patient, "visit": study.visit, "reason": str(reason)}
                found.left_out.append(left)
    if not found.rows:
        raise UsageError(
            "No patient of this split fits the model",
            expected="train or val, and the sets and label map that the model is for",
            got="; ".join([split, *found.reasons]) if found.reasons else f"{split} without any study",
            action="name them (--split, --sets, --truth)",
        )
    return found


def _check_shown(card: ModelCard, study: Study) -> None:
    """Raise `LeftOut` when a study does not show what the model's task is measured on."""
    if card.task == "translate" and not shows_head(study):
        raise LeftOut("no head or brain in two contrasts")
    if card.task == "denoise" and not shows_one_image(study):
        raise LeftOut("no MR image of a head or brain")


def _check_truth(card: ModelCard, studies: Sequence[Study], truth: str) -> None:
    """Raise `UsageError` when several sets have the label map: what is marked in them may differ."""
    having = sorted({s.source for s in studies if evaluation_labels.fits(card, s, truth)})
    if len(having) > 1:
        raise UsageError(
            f"Label maps {truth!r} of several data sets could be the truth of {card.name!r}",
            expected="the sets in which "
            + ", ".join(label.name for label in card.outputs[0].labels[:4])
            + (", ..." if len(card.outputs[0].labels) > 4 else "")
            + " is what they mark",
            got=", ".join(having),
            action="name those sets (--sets NAME,NAME)",
        )


def measure(
    session: Session, model: str, study: Study, *, cancel: Callable[[], bool] | None = None
) -> list[dict[str, Any]]:
    """Figures of a model on one study.

    Args:
        session: its registry has the model, which translates, denoises or suggests.
        model: its name.
        study: whose images, or label map ``labels``, are the truth.
        cancel: polled while the model works.

    Returns:
        Rows as those of `Evaluation`; none when the study does not fit the model.
    """
    try:
        return _measured(session, model, study, LABEL_MAP, cancel)
    except LeftOut:
        return []


def _measured(
    session: Session, model: str, study: Study, truth: str, cancel: Callable[[], bool] | None
) -> list[dict[str, Any]]:
    """Rows of one study, at least one.

    Raises:
        LeftOut: when it does not fit the model.
    """
    card = session.registry.card(model)
    if card.task == _SUGGEST:
        return [evaluation_labels.measure(session, model, study, truth=truth, cancel=cancel)]
    rows: list[dict[str, Any]] = []
    for name, inputs, target, image in _CASES[card.task](card, study):
        options = RunOptions(target=target, settings={"allow_unsuitable": True})
        outcome = run(session, model, inputs, options, cancel=cancel)
        whose = {"patient": study.patient, "visit": study.visit, "case": name}
        rows.append({**whose, **_figures(outcome, target, image)})
    if not rows:
        raise LeftOut("no images that the model could be measured on")
    return rows


def _figures(outcome: Outcome, target: str, truth: Truth) -> dict[str, float]:
    """Those of `score`, and the coverage of the interval where there is one."""
    image = oriented(outcome.volumes[target].data[0], truth.geometry)
    figures = score(truth, image)
    if "trust" in outcome.volumes:
        expected = oriented(outcome.volumes["trust"].data[0], truth.geometry)
        error = np.float32(figures["gain"]) * image - truth.image
        expected = np.float32(abs(figures["gain"])) * expected
        figures["coverage"] = metrics.interval_coverage(expected, error, truth.mask)
    return figures


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
