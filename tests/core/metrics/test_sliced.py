from __future__ import annotations

import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.sliced import sliced_wasserstein


def test_a_set_is_at_no_distance_from_itself_in_any_order() -> None:
    x = np.random.default_rng(0).random((20, 1, 4, 4))
    assert sliced_wasserstein(x, x[::-1], seed=0) == pytest.approx(0, abs=1e-12)


def test_a_shift_is_measured_along_the_directions() -> None:
    x, shift = np.random.default_rng(0).normal(size=(50, 9)), np.zeros(9)
    shift[0] = 2.0
    expected = 2 * np.sqrt(2 / np.pi) / np.sqrt(9)  # mean |component| of a unit vector, many dimensions
    assert sliced_wasserstein(x, x + shift, seed=1, projections=4000) == pytest.approx(expected, rel=0.08)


def test_farther_sets_are_farther_and_bad_ones_are_refused() -> None:
    rng = np.random.default_rng(0)
    x, near, far = rng.random((30, 16)), rng.random((30, 16)), rng.random((30, 16)) ** 4
    assert sliced_wasserstein(x, near, seed=0) < sliced_wasserstein(x, far, seed=0)
    with pytest.raises(InputError):
        sliced_wasserstein(x, near[:5], seed=0)
    with pytest.raises(InputError):
        sliced_wasserstein(x, np.full_like(x, np.nan), seed=0)
