"""Translation and denoising: a network of slabs over every slice, with the error to expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.card import ModelCard
from medgan_core.inference.appliers.application import Answer, Application, notes, voxels
from medgan_core.inference.trust import expected_error
from medgan_core.inference.views import apply_views, axes_for
from medgan_core.report import Row, Verdict
from medgan_core.volume import Volume

_TRUSTED = 15.0


def predict(work: Application) -> Answer:
    """The target on the first input's grid, and its trust map when the network predicts its error.

    Raises:
        MedganError: as `inference.apply` does.
    """
    card, monitor = work.card, work.monitor
    with monitor.stage("preprocess", 0.22):
        ordered = [work.volumes.get(port.key) for port in card.inputs]
        array, placement = preprocess.forward(card.preprocess, ordered)
    with monitor.stage("network", 0.92):
        applied = apply_views(
            work.compiled,
            array,
            presence=tuple(v is not None for v in ordered),
            axes=axes_for(array.shape[1:], placement.spacing, _wanted_views(card, work.settings)),
            memory_limit=work.memory_limit,
            keep=(card.targets.index(work.target),),
            views=work.views,
            monitor=monitor,
        )
    with monitor.stage("inverse", 1.0):
        trust = None
        if applied.log_scales is not None:
            trust = expected_error(applied.log_scales[0], calibration=card.trust_calibration)
        results = _back(work, applied.values[0], trust, placement)
        rows = (*notes(applied.notes), *_trust_rows(results, work.target))
    return Answer(volumes=results, views=applied.views, rows=rows)


def _wanted_views(card: ModelCard, settings: Mapping[str, Any]) -> int:
    return card.views if settings["views"] == "auto" else int(settings["views"])


def _back(
    work: Application,
    value: NDArray[np.float32],
    trust: NDArray[np.float32] | None,
    placement: preprocess.Placement,
) -> dict[str, Volume]:
    """Result and trust map on the source's grid and in the card's scale."""
    answers = [value] if trust is None else [value, trust]
    placed = preprocess.inverse(work.card.preprocess, answers, placement).data
    first = work.first
    source = voxels(first)
    image = placed[0]
    strength = work.settings.get("strength")
    if strength is not None and strength < 1.0:
        image = source + np.float32(strength) * (image - source)
        if trust is not None:
            placed[1] = np.maximum(placed[1], np.abs(image - placed[0]))
    if source.min() >= 0:
        np.maximum(image, 0.0, out=image)
    if work.card.task == "translate":
        _keep_background(image, placed[1] if trust is not None else None, work.volumes)
    results = {work.target: first.with_data(image)}
    if trust is not None:
        results["trust"] = first.with_data(placed[1])
    return results


def _keep_background(
    image: NDArray[np.float32], trust: NDArray[np.float32] | None, volumes: Mapping[str, Volume]
) -> None:
    """Voxels that are exactly zero in every input had their background removed: they stay zero."""
    empty = np.logical_and.reduce([v.data[0] == 0 for v in volumes.values()])
    image[empty] = 0.0
    if trust is not None:
        trust[empty] = 0.0


def _trust_rows(results: Mapping[str, Volume], target: str) -> list[Row]:
    """How large the expected error is where there is tissue."""
    if "trust" not in results:
        return []
    # A quarter of the pixels tells the mean as well, and sorting all takes a tenth of a second.
    image, trust = (results[key].data[0, ::2, ::2] for key in (target, "trust"))
    inside = image > 0.05 * float(np.percentile(image, 99.5))
    if not inside.any():
        return []
    share = 100 * float(trust[inside].mean() / max(image[inside].mean(), 1e-9))
    verdict: Verdict = "pass" if share < _TRUSTED else "caution"
    return [Row("Expected error, mean", round(share, 1), "% of the image's mean", f"{_TRUSTED:g}", verdict)]
