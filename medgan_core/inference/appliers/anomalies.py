"""Anomaly map: how far each place is from what a generator of usual patches makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.foreground import foreground
from medgan_core.inference.appliers import anomaly_map
from medgan_core.inference.appliers.application import Answer, Application, notes
from medgan_core.inference.apply import apply
from medgan_core.inference.plan import Plan
from medgan_core.inference.tiles import padded
from medgan_core.inference.views import View, Views

_UNIT = "% of the image's 99.5th percentile, in the foreground"


def find(work: Application) -> Answer:
    """The map over the foreground, as a share of the image's percentile, and the volume's scores in rows.

    The network compares patches that lie side by side. It is applied to the image shifted by every multiple
    of the setting ``stride``, and the answers are averaged with weights that fall off to a patch's border.

    Raises:
        MedganError: as `inference.apply` does.
    """
    monitor = work.monitor
    with monitor.stage("preprocess", 0.2):
        array, placement = preprocess.forward(work.card.preprocess, [work.first])
        inside = foreground(array[0])
    with monitor.stage("network", 0.95):
        (plan,) = work.plans((preprocess.SLICES,))
        stride = int(work.settings["stride"])
        (away, score), plan, remarks = _averaged(work, array, stride, plan)
    with monitor.stage("inverse", 1.0):
        shown = anomaly_map.on_source(work, away * inside, placement)
    return Answer(
        volumes={work.target: shown},
        views=Views(views=(View(axis=preprocess.SLICES, plan=plan),)),
        rows=(
            *notes(remarks),
            *anomaly_map.figures({"Anomaly map": 100 * away[inside]}, _UNIT),
            *anomaly_map.figures({"Anomaly score of patches": score[inside]}, ""),
        ),
    )


def window(side: int) -> NDArray[np.float32]:
    """Weights of a patch's pixels, (side, side): a Hann window, positive everywhere.

    Shifted by half a side and added they are the same everywhere.
    """
    row = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    return np.asarray(row[:, None] * row, dtype=np.float32)


def _averaged(
    work: Application, array: NDArray[np.float32], stride: int, plan: Plan | None
) -> tuple[NDArray[np.float32], Plan, tuple[str, ...]]:
    """Weighted mean of the network's answers to the shifted array.

    Returns:
        (outputs, i, j, k), the plan of every shift, and remarks.
    """
    side = work.compiled.signature.multiple
    rows, columns, depth = array.shape[1:]
    weight = window(side)
    total = np.zeros((work.compiled.signature.outputs, rows, columns, depth), dtype=np.float32)
    weights = np.zeros((rows, columns, 1), dtype=np.float32)
    remarks: list[str] = []
    shifts = list(_shifts(side, stride))
    for number, (down, across) in enumerate(shifts):
        height, width = (padded(n + side - stride, side) for n in (rows, columns))
        shifted = np.zeros((1, height, width, depth), dtype=np.float32)
        place = (slice(down, down + rows), slice(across, across + columns))
        shifted[:, *place] = array
        with work.monitor.share(number / len(shifts), (number + 1) / len(shifts)):
            applied = apply(
                work.compiled,
                shifted,
                presence=(True,),
                memory_limit=work.memory_limit,
                plan=plan,
                monitor=work.monitor,
            )
        plan, remarks = applied.plan, [*remarks, *applied.notes]
        part = np.tile(weight, (height // side, width // side))[place][..., None]
        total += applied.values[:, *place] * part
        weights += part
    assert plan is not None
    return total / weights, plan, tuple(remarks)


def _shifts(side: int, stride: int) -> Iterator[tuple[int, int]]:
    for down in range(0, side, stride):
        for across in range(0, side, stride):
            yield down, across
