"""Anomaly map: how far each place is from what a network that knows the usual makes of it."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.foreground import foreground
from medgan_core.inference.appliers import anomaly_map
from medgan_core.inference.appliers.application import Answer, Application, notes
from medgan_core.inference.apply import apply
from medgan_core.inference.views import View, Views
from medgan_core.metrics.unusual import Direction, unusual

_UNIT = "times the expected difference, in the foreground"


def compare(work: Application) -> Answer:
    """The map over the foreground, in multiples of the expected error, and the volume's figures in rows.

    Raises:
        MedganError: as `inference.apply` does.
    """
    monitor = work.monitor
    with monitor.stage("preprocess", 0.2):
        array, placement = preprocess.forward(work.card.preprocess, [work.first])
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
        shown = anomaly_map.on_source(work, np.where(inside, away, np.float32(0)), placement)
    return Answer(
        volumes={work.target: shown},
        views=Views(views=(View(axis=preprocess.SLICES, plan=applied.plan),)),
        rows=(*notes(applied.notes), *anomaly_map.figures({"Anomaly map": away[inside]}, _UNIT)),
    )


def _slices(array: NDArray[np.float32]) -> torch.Tensor:
    """(1, i, j, k) as a batch of slices (k, 1, i, j)."""
    return torch.from_numpy(np.ascontiguousarray(array)).permute(3, 0, 1, 2)
