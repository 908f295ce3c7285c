"""Measuring a model that suggests segmentations: Dice and volume of every label, patient by patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from medgan_core import io
from medgan_core.card import LABEL_MAP, ModelCard
from medgan_core.data.manifest import Study
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UnsuitableError
from medgan_core.label_checks import LabelMap, label_map, overlaps, volumes_ml
from medgan_core.resampling import resample
from medgan_core.volume import Geometry


class LeftOut(Exception):  # noqa: N818  (no error: the others are measured)
    """A study that says nothing about a model; the text says why."""


def measure(
    session: Session,
    model: str,
    study: Study,
    *,
    truth: str = LABEL_MAP,
    cancel: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Figures of a model on one study.

    Args:
        session: its registry has the model, which suggests a segmentation.
        model: its name.
        study: of a patient.
        truth: key of the study's label map that is the truth; it has the values of the card and no others.
        cancel: polled while the model works.

    Returns:
        patient, visit, case (the inputs), truth (set and key of the label map), and for each label its Dice,
        its volume and the true one in mL. A label that is neither in the truth nor in the suggestion has no
        Dice.

    Raises:
        LeftOut: when the study lacks an input or such a label map, or the model refuses it.
    """
    card = session.registry.card(model)
    paths = takes(card, study)
    if not paths:
        raise LeftOut("no image that the model takes")
    if truth not in study.labels:
        others = f", only {', '.join(study.labels)}" if study.labels else ""
        raise LeftOut(f"no label map {truth}{others}")
    inputs = {key: io.read(path) for key, path in paths.items()}
    grid = next(iter(inputs.values())).geometry
    known = _truth(card, study.labels[truth], grid)
    try:
        outcome = run(session, model, inputs, RunOptions(), cancel=cancel)
    except UnsuitableError as error:
        raise LeftOut(f"refused by the model: {error.got}") from error
    found = label_map(outcome.volumes[card.outputs[0].key])
    dice = overlaps(found, known)
    volumes, true = (volumes_ml(labels, grid.spacing) for labels in (found, known))
    row: dict[str, Any] = {
        "patient": study.patient,
        "visit": study.visit,
        "case": "+".join(inputs),
        "truth": f"{study.source}: {truth}",
    }
    for label in card.outputs[0].labels:
        if label.value in dice:
            row[f"Dice, {label.name}"] = dice[label.value]
        row[f"mL, {label.name}"] = volumes.get(label.value, 0.0)
        row[f"true mL, {label.name}"] = true.get(label.value, 0.0)
    return row


def fits(card: ModelCard, study: Study, truth: str) -> bool:
    """Whether a study has what the model takes and the label map, by their keys."""
    return truth in study.labels and bool(takes(card, study))


def takes(card: ModelCard, study: Study) -> dict[str, Path]:
    """Files by the card's keys; a model of one input takes the study's first MR image. None if one lacks."""
    found = {port.key: study.images[port.key] for port in card.inputs if port.key in study.images}
    if not found and len(card.inputs) == 1 and study.magnitudes:
        found = {card.inputs[0].key: study.images[study.magnitudes[0]]}
    lacking = [port.key for port in card.inputs if port.required and port.key not in found]
    return {} if lacking or len(found) < card.min_inputs else found


def _truth(card: ModelCard, path: Path, grid: Geometry) -> LabelMap:
    """A label map of this model's structures, on the grid of its input.

    Raises:
        LeftOut: when it is one of others, or empty.
    """
    volume = io.read(path)
    values = set(np.unique(volume.data).tolist())
    others = sorted(values - {0, *(label.value for label in card.outputs[0].labels)})
    if others:
        raise LeftOut(
            "label map with other values than the model's: " + ", ".join(f"{v:g}" for v in others[:8])
        )
    if values == {0}:
        raise LeftOut("empty label map")
    on_grid = volume.geometry.close_to(grid)
    return label_map(volume if on_grid else resample(volume, grid, order=0))
