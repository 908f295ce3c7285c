"""Measuring a model that suggests segmentations: Dice and volume of every label, patient by patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from medgan_core import io
from medgan_core.card import ModelCard
from medgan_core.data.manifest import Study
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UnsuitableError
from medgan_core.label_checks import LabelMap, label_map, overlaps, volumes_ml
from medgan_core.resampling import resample
from medgan_core.volume import Geometry


def measure(
    session: Session, model: str, study: Study, *, cancel: Callable[[], bool] | None = None
) -> list[dict[str, Any]]:
    """Figures of a model on one study.

    Args:
        session: its registry has the model, which suggests a segmentation.
        model: its name.
        study: whose first label map with the values of the card, and no others, is the truth.
        cancel: polled while the model works.

    Returns:
        One row, or none when the study lacks an input or such a label map, or the model refuses it: patient,
        visit, case (the inputs), and for each label its Dice, its volume and the true one in mL. A label
        that is neither in the truth nor in the suggestion has no Dice.
    """
    card = session.registry.card(model)
    inputs = {key: io.read(path) for key, path in _inputs(card, study).items()}
    if not inputs:
        return []
    grid = next(iter(inputs.values())).geometry
    truth = _truth(card, study, grid)
    if truth is None:
        return []
    try:
        outcome = run(session, model, inputs, RunOptions(), cancel=cancel)
    except UnsuitableError:
        return []
    found = label_map(outcome.volumes[card.outputs[0].key])
    dice = overlaps(found, truth)
    volumes, true = (volumes_ml(labels, grid.spacing) for labels in (found, truth))
    row: dict[str, Any] = {"patient": study.patient, "visit": study.visit, "case": "+".join(inputs)}
    for label in card.outputs[0].labels:
        if label.value in dice:
            row[f"Dice, {label.name}"] = dice[label.value]
        row[f"mL, {label.name}"] = volumes.get(label.value, 0.0)
        row[f"true mL, {label.name}"] = true.get(label.value, 0.0)
    return [row]


def _inputs(card: ModelCard, study: Study) -> dict[str, Path]:
    """Files by the card's keys; a model of one input takes the study's first MR image. None if one lacks."""
    found = {port.key: study.images[port.key] for port in card.inputs if port.key in study.images}
    if not found and len(card.inputs) == 1 and study.magnitudes:
        found = {card.inputs[0].key: study.images[study.magnitudes[0]]}
    lacking = [port.key for port in card.inputs if port.required and port.key not in found]
    return {} if lacking or len(found) < card.min_inputs else found


def _truth(card: ModelCard, study: Study, grid: Geometry) -> LabelMap | None:
    """The study's label map of this model's structures, on the grid of its input."""
    known = {0, *(label.value for label in card.outputs[0].labels)}
    for path in study.labels.values():
        volume = io.read(path)
        values = set(np.unique(volume.data).tolist())
        if values <= known and values != {0}:
            on_grid = volume.geometry.close_to(grid)
            return label_map(volume if on_grid else resample(volume, grid, order=0))
    return None
