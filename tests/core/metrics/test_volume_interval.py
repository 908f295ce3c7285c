from __future__ import annotations

import numpy as np
import pytest

from medgan_core.metrics.volume_interval import conformal_factor, doubt


def test_doubt_is_largest_where_nothing_is_decided() -> None:
    assert doubt(np.array([0.0, 1.0, 1.0])) == 0.0
    assert doubt(np.full((2, 3, 4), 0.5)) == pytest.approx(24 / 4)


def test_the_factor_is_the_quantile_of_the_relative_errors() -> None:
    errors, doubts = [1.0, -8.0, 3.0, 0.5], [1.0, 2.0, 1.0, 1.0]
    assert conformal_factor(errors, doubts, level=0.6) == 3.0
    assert conformal_factor(errors, doubts, level=0.8) == 4.0
    assert conformal_factor(errors, doubts, level=0.99) == 4.0


def test_a_new_patient_lies_inside_as_often_as_is_said() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        doubts = rng.uniform(1, 5, 20)
        errors = doubts * rng.standard_t(3, 20)
        factor = conformal_factor(errors[:-1].tolist(), doubts[:-1].tolist())
        inside.append(abs(errors[-1]) <= factor * doubts[-1])
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize(("errors", "doubts"), [([], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_nothing_is_measured_on_nothing(errors: list[float], doubts: list[float]) -> None:
    with pytest.raises(ValueError, match="doubts"):
        conformal_factor(errors, doubts)
