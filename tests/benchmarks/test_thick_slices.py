from __future__ import annotations

import numpy as np
import pytest

from benchmarks.thick_slices import averaged, middles
from medgan_core.volume import Geometry, Volume

THIN = Volume(np.arange(28).reshape(2, 2, 7), Geometry((2, 2, 7), np.diag([1.0, 1.0, 2.0, 1.0])))


@pytest.mark.parametrize(
    ("slices", "values", "labels", "first"), [(1, 3.0, 3, 0.0), (2, 2.5, 3, 1.0), (3, 4.0, 4, 2.0)]
)
def test_slices_are_averaged_in_their_middle(slices: int, values: float, labels: int, first: float) -> None:
    thick, known = averaged(THIN, slices), middles(THIN, slices)
    number = 1 if slices > 1 else 3
    assert thick.geometry.shape == known.geometry.shape == (2, 2, 7 // slices)
    assert thick.data[0, 0, 0, number] == values
    assert known.data[0, 0, 0, number] == labels
    assert thick.geometry.affine[2, 3] == known.geometry.affine[2, 3] == first
    assert thick.geometry.spacing[2] == 2 * slices
