"""Tissues and main structures of the brain: what a segmentation tells apart, and what label maps call it.

Values are FreeSurfer's (Fischl et al., "Whole brain segmentation", Neuron 2002). Both sides of a structure
are one class of a network, which sees slices and not where they lie; a mid-sagittal plane tells them apart.
In the label maps of SynthSeg 136 and 137 lie within the ventricles, as the choroid plexus does (31), and
count as part of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.card import Label
from medgan_core.physics.labels import LABEL_NAMES
from medgan_core.physics.simulation import tissue_map
from medgan_core.physics.tissues import EXTRA_CEREBRAL

_SOFT, _CORTEX = 507, 3


@dataclass(frozen=True)
class Structure:
    """One class of a segmentation.

    Args:
        left: value of its label, of the left one where there are two.
        colour: ``#rrggbb``.
        snomed: its code in SNOMED CT, "" where none is certain.
        others: values in label maps (of the left side) that belong to it as well.
    """

    left: int
    colour: str
    snomed: str = ""
    others: tuple[int, ...] = ()


STRUCTURES: tuple[Structure, ...] = (
    Structure(2, "#f2efe6", "68523003", (25, 30, 77)),
    Structure(3, "#c9506a", "40146001"),
    Structure(4, "#7a3fa0", "66720007", (5, 31, 72, 136, 137)),
    Structure(7, "#dcefb8"),
    Structure(8, "#e09a2b"),
    Structure(10, "#1f8f4d", "42695009"),
    Structure(11, "#74bdf0", "11000004"),
    Structure(12, "#e83fa8", "89278009"),
    Structure(13, "#2c48d8", "14738005"),
    Structure(17, "#d9d24a", "5366008"),
    Structure(18, "#63e0e6", "4958002"),
    Structure(26, "#ffab2e", "427667007"),
    Structure(28, "#a3552f"),
    Structure(14, "#c7b23f", "49841001"),
    Structure(15, "#2f9c9c", "35918002"),
    Structure(16, "#7b9fb0", "15926001"),
    Structure(24, "#4b5bc4"),
)
"""Class n is at place n - 1; class 0 is all else."""

_BY_NAME = {name: value for value, name in LABEL_NAMES.items()}
RIGHT_OF: dict[int, int] = {
    value: _BY_NAME[name.replace("Left", "Right", 1)]
    for value, name in LABEL_NAMES.items()
    if name.startswith("Left ")
}
"""Value of the right side by that of the left."""

SIDES: tuple[tuple[int, int], ...] = tuple(
    (s.left, RIGHT_OF[s.left]) for s in STRUCTURES if s.left in RIGHT_OF
)
"""Values (left, right) of the labels that are one class."""


def _labels() -> tuple[Label, ...]:
    return tuple(
        Label(value=value, name=LABEL_NAMES[value], colour=s.colour, snomed=s.snomed)
        for s in STRUCTURES
        for value in (s.left, RIGHT_OF.get(s.left))
        if value is not None
    )


LABELS: tuple[Label, ...] = _labels()
"""Of a segmentation, in the order of the classes, the left side before the right one."""

REGIONS: tuple[int, ...] = (0, *(v for v in LABEL_NAMES if v not in RIGHT_OF.values()))
"""What label maps tell apart but the sides: a region's number is its place, its value that of the left."""

REGION_TISSUE: NDArray[np.uint8] = tissue_map(np.array(REGIONS))
"""Tissue number of each region."""

REGION_CLASS: NDArray[np.uint8] = np.array(
    [next((n for n, s in enumerate(STRUCTURES, 1) if v in (s.left, *s.others)), 0) for v in REGIONS],
    dtype=np.uint8,
)
"""Class of each region."""

IN_BRAIN: NDArray[np.bool_] = np.array([0 < v < EXTRA_CEREBRAL for v in REGIONS])
"""Whether a region is left when everything outside of the brain is taken away."""


def region_map(labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Numbers of `REGIONS` of a map with FreeSurfer-style labels, any shape.

    Unknown labels count as `simulation.tissue_map` counts them: as cortex, or as soft tissue of the head.
    """
    top = max(int(labels.max(initial=0)), *LABEL_NAMES) + 1
    table = np.full(top, REGIONS.index(_CORTEX), dtype=np.uint8)
    table[EXTRA_CEREBRAL:] = REGIONS.index(_SOFT)
    for number, value in enumerate(REGIONS):
        table[value] = number
        table[RIGHT_OF.get(value, value)] = number
    return table[np.clip(labels, 0, top - 1)]


def label_values(labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """A map with FreeSurfer-style labels as a segmentation has it: values of `LABELS`, 0 for all else."""
    rights = np.isin(labels, list(RIGHT_OF.values()))
    lefts = np.array([0, *(s.left for s in STRUCTURES)], dtype=np.uint8)[REGION_CLASS[region_map(labels)]]
    right_of = np.arange(256, dtype=np.uint8)
    for left, right in SIDES:
        right_of[left] = right
    return np.where(rights, right_of[lefts], lefts)
