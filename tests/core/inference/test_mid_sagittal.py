from __future__ import annotations

import numpy as np
import pytest

from medgan_core.inference.mid_sagittal import find

SPACING = (1.0, 1.5, 2.0)


def halves(offset: float, slopes: tuple[float, float], right: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of a head that mirrors itself across a plane (mm from its middle), and its left half."""
    shape = (72, 60, 40)
    places = [(a - (n - 1) / 2) * s for a, n, s in zip(np.ogrid[:72, :60, :40], shape, SPACING, strict=True)]
    u, v = (places[axis] for axis in range(3) if axis != right)
    along = places[right] - offset - slopes[0] * u - slopes[1] * v
    away = np.abs(along) / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2)
    # Distances within the plane, so that both halves are the same.
    u, v = (
        p + slope * along / (1 + slopes[0] ** 2 + slopes[1] ** 2)
        for p, slope in ((u, slopes[0]), (v, slopes[1]))
    )
    inside = (away / 30) ** 2 + (u / 34) ** 2 + (v / 30) ** 2 < 1
    classes = np.where(inside, 1, 0)
    classes[((away - 14) / 5) ** 2 + ((u - 6) / 12) ** 2 + (v / 9) ** 2 < 1] = 2
    return classes, np.broadcast_to(along < 0, shape)


@pytest.mark.parametrize("right", [0, 1, 2])
@pytest.mark.parametrize(("offset", "slopes"), [(0.0, (0.0, 0.0)), (4.0, (0.15, -0.1)), (-3.0, (0.0, 0.2))])
def test_a_head_is_split_in_its_middle_however_it_lies(
    right: int, offset: float, slopes: tuple[float, float]
) -> None:
    classes, left = halves(offset, slopes, right)
    sides = find(classes, SPACING, right=right, paired=[1, 2])
    assert (sides.left == left)[classes > 0].mean() > 0.96
    assert sides.symmetry > 0.85


def test_half_a_head_is_not_symmetric() -> None:
    classes, left = halves(0.0, (0.0, 0.0), 0)
    assert find(np.where(left, classes, 0), SPACING, right=0, paired=[1, 2]).symmetry < 0.8
    assert find(classes, SPACING, right=0, paired=[3]).symmetry == 0.0
