"""Suggested segmentations: a network of slabs that tells classes apart, with its uncertainty and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.card import Label, ModelCard
from medgan_core.errors import ModelError
from medgan_core.inference.appliers.application import Answer, Application, notes
from medgan_core.inference.segmentation import Segmented, decide, softmax
from medgan_core.inference.views import apply_views, axes_for
from medgan_core.report import Row, Verdict
from medgan_core.volume import Geometry

_WIDE = 0.25
"""Half of an interval, as a share of the volume, above which a person should look twice."""


def suggest(work: Application) -> Answer:
    """The label map on the first input's grid, its uncertainty, and the volume of each label.

    Where voxels are nearly cubes the probabilities of three views are averaged. They are brought onto the
    source's grid before the most probable class is chosen.

    Raises:
        ModelError: when card and network do not agree on the classes.
        MedganError: as `inference.apply` does.
    """
    card, monitor = work.card, work.monitor
    labels = _labels(card, work.compiled.signature.outputs)
    settings = replace(card.preprocess, output="share")
    with monitor.stage("preprocess", 0.2):
        ordered = [work.volumes.get(port.key) for port in card.inputs]
        array, placement = preprocess.forward(settings, ordered)
    with monitor.stage("network", 0.85):
        wanted = card.views if work.settings["views"] == "auto" else int(work.settings["views"])
        applied = apply_views(
            work.compiled,
            array,
            presence=tuple(volume is not None for volume in ordered),
            axes=axes_for(array.shape[1:], placement.spacing, wanted),
            memory_limit=work.memory_limit,
            views=work.views,
            each=softmax,
            monitor=monitor,
        )
    with monitor.stage("inverse", 1.0):

        def placed() -> Iterator[NDArray[np.float32]]:
            for n in range(1, len(applied.values)):
                monitor.step((n - 1) / len(labels))
                yield preprocess.inverse(settings, applied.values[n : n + 1], placement).data[0]

        found = decide(placed(), [label.value for label in labels])
    source = work.first
    volumes = {card.outputs[0].key: source.with_data(found.labels)}
    volumes |= {p.key: source.with_data(found.uncertainty) for p in card.outputs if p.kind == "map"}
    rows = volume_rows(labels, found, source.geometry, card.volume_calibration)
    return Answer(volumes=volumes, views=applied.views, rows=(*notes(applied.notes), *rows))


def volume_rows(
    labels: tuple[Label, ...], found: Segmented, grid: Geometry, factors: tuple[float, ...]
) -> list[Row]:
    """The volume of each label with its 90 % interval.

    Args:
        labels: in the order of the classes.
        found: on the grid.
        grid: of the source.
        factors: the card's `volume_calibration`; none where no interval was measured.
    """
    voxel = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    rows = []
    for n, label in enumerate(labels):
        name, volume = f"Volume: {label.name}", found.voxels[n] * voxel
        told = float(f"{volume:.3g}")
        if not factors:
            rows.append(Row(name, told, "mL, no interval was measured"))
            continue
        half = factors[n] * found.doubts[n] * voxel
        unit = f"mL, 90 % interval {max(volume - half, 0.0):.3g} to {volume + half:.3g}"
        verdict: Verdict = "pass" if half <= _WIDE * volume else "caution"
        rows.append(Row(name, told, unit, f"interval within {100 * _WIDE:g} %", verdict))
    if not any(found.voxels):
        rows.append(Row("Segmentation", "nothing was found", verdict="caution"))
    return rows


def _labels(card: ModelCard, classes: int) -> tuple[Label, ...]:
    labels = card.outputs[0].labels
    if len(labels) + 1 != classes:
        raise ModelError(
            f"The card of {card.name!r} and its network do not agree",
            expected=f"{classes - 1} labels and the background",
            got=f"{len(labels)} labels",
            action="publish the model again",
        )
    return labels
