"""Anomaly map: how far each place is from what a network that knows the usual makes of it."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.foreground import foreground
from medgan_core.inference.appliers.application import Answer, Application, notes, voxels
from medgan_core.inference.apply import apply
from medgan_core.inference.views import View, Views
from medgan_core.metrics.unusual import Direction, unusual
from medgan_core.report import Row

_HIGH = 99.0


def compare(work: Application) -> Answer:
    """The map over the foreground, in multiples of the expected error, and the volume's figures in rows.

    Raises:
        MedganError: as `inference.apply` does.
    """
    image, monitor = work.first, work.monitor
    with monitor.stage("preprocess", 0.2):
        array, placement = preprocess.forward(work.card.preprocess, [image])
        inside = foreground(array[0])
    with monitor.stage("network", 0.92):
        (plan,) = work.plans((preprocess.SLICES,))
        applied = apply(
            work.compiled,
            array,
            presence=(True,),
            memory_limit=work.memory_limit,
            plan=plan,
            monitor=monitor,
        )
    with monitor.stage("inverse", 1.0):
        direction = cast("Direction", work.settings["direction"])
        assert applied.log_scales is not None
        given, restored, scale = (_slices(a) for a in (array, applied.values, applied.log_scales))
        away = unusual(given, restored, scale, direction)[:, 0].permute(1, 2, 0).numpy()
        shown = np.where(inside, away, np.float32(0))
        found = preprocess.inverse(work.card.preprocess, [shown], placement).data[0]
        np.maximum(found, 0.0, out=found)
        found[voxels(image) == 0] = 0.0
    return Answer(
        volumes={work.target: image.with_data(found)},
        views=Views(views=(View(axis=preprocess.SLICES, plan=applied.plan),)),
        rows=(*notes(applied.notes), *(_rows(away[inside]) if inside.any() else [])),
    )


def _slices(array: NDArray[np.float32]) -> torch.Tensor:
    """(1, i, j, k) as a batch of slices (k, 1, i, j)."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(3, 0, 1, 2)


def _rows(away: NDArray[np.float32]) -> list[Row]:
    """What the whole volume comes to; no limit is known, so nothing is judged."""
    unit = "times the expected difference, in the foreground"
    return [
        Row("Anomaly map, mean", round(float(away.mean()), 2), unit),
        Row(f"Anomaly map, {_HIGH:g}th percentile", round(float(np.percentile(away, _HIGH)), 2), unit),
    ]
