"""Which side of the head a voxel lies on, from a segmentation whose classes hold both sides.

A network of slices cannot tell left from right in a sagittal slice, and little of it is worth learning: the
halves of a brain mirror each other. So the plane is looked for across which the segmentation agrees best with
its own mirror image. Source: Ardekani et al., "Automatic detection of the mid-sagittal plane in 3-D brain
images", IEEE Trans Med Imaging 1997, who compare intensities; classes do not depend on the contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]

_POINTS = 8000
_SHIFTS_MM = np.arange(-24.0, 25.0, 4.0)
_SLOPES = (-0.15, 0.0, 0.15)
_STEPS = (3.0, 0.06, 0.06)
"""First steps of the search: offset in mm, slopes."""


@dataclass(frozen=True, eq=False)
class Sides:
    """The halves of a head.

    Args:
        left: (i, j, k), voxels on the patient's left.
        symmetry: share of the voxels looked at whose mirror image is of the same class.
    """

    left: NDArray[np.bool_]
    symmetry: float


def find(
    classes: NDArray[np.integer[Any]], spacing: Sequence[float], *, right: int, paired: Sequence[int]
) -> Sides:
    """Split a head in its middle.

    Args:
        classes: (i, j, k), of every voxel.
        spacing: in mm.
        right: axis that runs towards the patient's right, give or take a tilt of 20 degrees.
        paired: classes that lie on both sides.
    """
    found = np.argwhere(np.isin(classes, paired))
    if not len(found):
        return Sides(np.zeros(classes.shape, dtype=bool), 0.0)
    found = found[:: max(1, len(found) // _POINTS)]
    search = _Search(classes, np.asarray(spacing, dtype=np.float64), right, found)
    start = max(product(_SHIFTS_MM, _SLOPES, _SLOPES), key=search.symmetry)
    simplex = np.array([start, *(np.add(start, step) for step in np.diag(_STEPS))])
    best = optimize.minimize(
        lambda plane: -search.symmetry(plane),
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex},
    )
    return Sides(search.left(best.x), search.symmetry(best.x))


class _Search:
    """Planes ``right = offset + slope . (other axes)``, in mm from the middle of the points."""

    def __init__(
        self, classes: NDArray[np.integer[Any]], spacing: Array, right: int, points: NDArray[np.intp]
    ) -> None:
        self._classes, self._spacing, self._right = classes, spacing, right
        self._others = [axis for axis in range(3) if axis != right]
        self._own = classes[tuple(points.T)]
        mm = points * spacing
        self._middle = np.median(mm, axis=0)
        self._points = mm - self._middle

    def symmetry(self, plane: Sequence[float]) -> float:
        """Share of the points whose mirror image is of their class."""
        normal = np.zeros(3)
        normal[self._right] = 1.0
        normal[self._others] = -np.asarray(plane[1:])
        away = (self._points @ normal - plane[0]) / (normal @ normal)
        mirrored = self._points - 2 * away[:, None] * normal + self._middle
        index = np.rint(mirrored / self._spacing).astype(np.intp)
        inside = ((index >= 0) & (index < self._classes.shape)).all(axis=1)
        same = self._classes[tuple(index[inside].T)] == self._own[inside]
        return float(np.count_nonzero(same)) / len(self._own)

    def left(self, plane: Sequence[float]) -> NDArray[np.bool_]:
        """Voxels on the left of the plane."""
        axes = np.ogrid[tuple(slice(n) for n in self._classes.shape)]
        place = [a * s - m for a, s, m in zip(axes, self._spacing, self._middle, strict=True)]
        surface = plane[0] + sum(slope * place[a] for slope, a in zip(plane[1:], self._others, strict=True))
        return np.asarray(place[self._right] < surface)
