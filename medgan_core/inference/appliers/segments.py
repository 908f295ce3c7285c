"""Suggested segmentations: a network of slabs that tells classes apart, with its uncertainty and volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.card import Label, ModelCard
from medgan_core.errors import ModelError
from medgan_core.inference import mid_sagittal
from medgan_core.inference.appliers.application import Answer, Application, notes
from medgan_core.inference.segmentation import Segmented, decide, softmax
from medgan_core.inference.views import apply_views, axes_for
from medgan_core.report import Row, Verdict
from medgan_core.volume import Geometry

_SYMMETRIC = 0.45
"""Share of voxels that agree with their mirror image, below which left and right may be wrong."""

_WIDE = 0.25
"""Half of an interval, as a share of the volume, above which a person should look twice."""


def suggest(work: Application) -> Answer:
    """The label map on the first input's grid, its uncertainty, and the volume of each label.

    Where voxels are nearly cubes the probabilities of three views are averaged. They are brought onto the
    source's grid before the most probable class is chosen. Classes of both sides are split in the middle.

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
        sides = _sides(card, applied.values, placement)

        def placed() -> Iterator[NDArray[np.float32]]:
            for n, (label, number) in enumerate(zip(labels, card.label_classes, strict=True)):
                monitor.step(n / len(labels))
                one = applied.values[number]
                if sides is not None and label.value in sides.values:
                    one = np.where(sides.left == sides.values[label.value], one, np.float32(0))
                yield preprocess.inverse(settings, one[None], placement).data[0]

        found = decide(placed(), [label.value for label in labels])
    source = work.first
    volumes = {card.outputs[0].key: source.with_data(found.labels)}
    volumes |= {p.key: source.with_data(found.uncertainty) for p in card.outputs if p.kind == "map"}
    rows = volume_rows(labels, found, source.geometry, card.volume_calibration)
    told = [] if sides is None else [sides.row()]
    return Answer(volumes=volumes, views=applied.views, rows=(*notes(applied.notes), *told, *rows))


@dataclass(frozen=True, eq=False)
class _Sides:
    """The halves of the head on the network's grid, and by the value of a label whether it is a left one."""

    left: NDArray[np.bool_]
    symmetry: float
    values: dict[int, bool]

    def row(self) -> Row:
        verdict: Verdict = "pass" if self.symmetry >= _SYMMETRIC else "caution"
        share = round(self.symmetry, 2)
        return Row("Left and right agree", share, "share of voxels", f"at least {_SYMMETRIC:g}", verdict)


def _sides(card: ModelCard, values: NDArray[np.float32], placement: preprocess.Placement) -> _Sides | None:
    """The halves, when the card has labels of two sides."""
    if not card.sides:
        return None
    found = mid_sagittal.find(
        values.argmax(axis=0).astype(np.uint8),
        placement.spacing,
        right=preprocess.right_axis(placement),
        paired=[number for number, count in Counter(card.label_classes).items() if count == 2],
    )
    values_of = {value: side == 0 for pair in card.sides for side, value in enumerate(pair)}
    return _Sides(found.left, found.symmetry, values_of)


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
        low, high = max(volume - half, 0.0), volume + half
        unit = f"mL, 90 % interval {low:.3g} to {high:.3g}"
        verdict: Verdict = "pass" if half <= _WIDE * volume else "caution"
        rows.append(Row(name, told, unit, f"interval within {100 * _WIDE:g} %", verdict, (low, high)))
    if not any(found.voxels):
        rows.append(Row("Segmentation", "nothing was found", verdict="caution"))
    return rows


def _labels(card: ModelCard, classes: int) -> tuple[Label, ...]:
    labels = card.outputs[0].labels
    known = 1 + max(card.label_classes, default=0)
    if known != classes:
        raise ModelError(
            f"The card of {card.name!r} and its network do not agree",
            expected=f"{classes - 1} labels and the background",
            got=f"{known - 1} labels",
            action="publish the model again",
        )
    return labels
