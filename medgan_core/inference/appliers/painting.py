"""Synthesis of heads: a label map painted by the MR signal equations, then made to look scanned."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.card import LABEL_MAP, SEGMENTATION
from medgan_core.inference.appliers.application import Answer, Application, notes
from medgan_core.inference.apply import apply
from medgan_core.inference.plan import Plan
from medgan_core.inference.views import View, Views
from medgan_core.numbering import numbered
from medgan_core.physics.mr_signal import Contrast, adjusted, described
from medgan_core.physics.painting import Scan, paint, white_noise
from medgan_core.physics.simulation import Head, tissue_map
from medgan_core.physics.tissues import EXTRA_CEREBRAL
from medgan_core.report import Row
from medgan_core.volume import Volume

_SHARPNESS = (0.35, 0.85)
_PAINTED = 0.5
"""Share of a sample's time."""


def synthesize(work: Application) -> Answer:
    """As many scans of the label map as asked for, each with the map, on the map's grid.

    Sample n is a function of the map, the settings, the seed and n. A map without labels outside of the brain
    gives an image that is 0 outside of it.

    Raises:
        UsageError: when the sequence's parameters do not belong together.
        MedganError: as `inference.apply` does.
    """
    labels, monitor = work.volumes[LABEL_MAP], work.monitor
    values = np.rint(labels.data[0]).astype(np.uint16)
    (plan,) = work.plans((preprocess.SLICES,))
    scans = [_scan(work, number) for number in range(work.count)]
    made: dict[str, Volume] = {}
    rows: list[Row] = []
    remarks: tuple[str, ...] = ()
    with monitor.stage("network", 1.0):
        for number, scan in enumerate(scans):
            begin, end = number / work.count, (number + 1) / work.count
            name = numbered("Sequence", number, work.count)
            rows.append(Row(name, described(scan.sequence), "ms, degrees"))
            with monitor.share(begin, begin + _PAINTED * (end - begin)):
                base = _painted(work, values, scan)
            with monitor.share(begin + _PAINTED * (end - begin), end):
                image, plan, told = _refined(work, base, scan, plan)
            remarks += told
            if values.max() < EXTRA_CEREBRAL:
                image.data[0][values == 0] = 0.0
            made[numbered(work.target, number, work.count)] = image
            made[numbered(SEGMENTATION, number, work.count)] = labels.with_data(values)
    assert plan is not None
    views = Views(views=(View(axis=preprocess.SLICES, plan=plan),))
    return Answer(volumes=made, views=views, rows=(*notes(remarks), *rows))


def _scan(work: Application, number: int) -> Scan:
    """The sample's head and sequence, drawn, with what the settings say of them."""
    rng = np.random.default_rng((work.seed, number))
    contrast, settings = cast("Contrast", work.target), work.settings
    head = Head.draw(rng, variety=float(settings["variety"]))
    by_hand = {key: float(settings[key]) for key in ("tr", "te", "ti", "flip")}
    sequence = adjusted(head.sequences[contrast], **by_hand)
    return Scan(
        head=replace(head, sequences={**head.sequences, contrast: sequence}),
        contrast=contrast,
        texture=float(settings["texture"]),
        shading=float(settings["shading"]),
        sharpness=float(rng.uniform(*_SHARPNESS)),
        seed=int(rng.integers(2**62)),
    )


def _painted(work: Application, values: NDArray[np.uint16], scan: Scan) -> Volume:
    """The base image on the map's grid."""
    grid = work.volumes[LABEL_MAP].geometry
    axes, flips = preprocess.slice_axes(grid)
    i, j, k = (grid.spacing[a] for a in axes)
    tissue = preprocess.orient(tissue_map(values), axes, flips)
    out = np.empty(grid.shape, dtype=np.float32)
    preprocess.orient(out, axes, flips)[...] = paint(tissue, (i, j, k), scan, work.monitor.step)
    return Volume(out, grid)


def _refined(
    work: Application, base: Volume, scan: Scan, plan: Plan | None
) -> tuple[Volume, Plan, tuple[str, ...]]:
    """The image in the card's scale, how it was computed, and remarks on that."""
    array, placement = preprocess.forward(work.card.preprocess, [base])
    _, i, j, k = array.shape
    both = np.stack([array[0], white_noise((i, j, k), scan.seed)])
    applied = apply(
        work.compiled,
        both,
        presence=(True, True),
        memory_limit=work.memory_limit,
        plan=plan,
        monitor=work.monitor,
    )
    share = np.float32(work.settings["refine"])
    image = array + share * (applied.values - array)
    placed = preprocess.inverse(work.card.preprocess, image, placement)
    np.maximum(placed.data, 0.0, out=placed.data)
    return work.first.with_data(placed.data), applied.plan, applied.notes
