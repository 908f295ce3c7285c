from __future__ import annotations

import numpy as np
import pytest

from benchmarks.systems.kernel import grouped_kernel_distance
from medgan_core.errors import InputError
from medgan_core.metrics.kid import squared_mmd

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 6)), RNG.normal(size=(25, 6)) + 0.2


def naive(x: np.ndarray, p: np.ndarray, y: np.ndarray, g: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(rows: np.ndarray, owners: np.ndarray) -> float:
        pairs = [
            kernel(rows[i], rows[j])
            for i in range(len(rows))
            for j in range(len(rows))
            if owners[i] != owners[j]
        ]
        return float(np.mean(pairs))

    return within(x, p) + within(y, g) - 2 * float(np.mean([kernel(a, b) for a in x for b in y]))


def test_where_every_image_stands_alone_it_is_the_usual_distance() -> None:
    found = grouped_kernel_distance(X, np.arange(30), Y, seed=0, draws=50)
    assert found.value == pytest.approx(squared_mmd(X, Y))
    assert found.low < found.value < found.high


def test_pairs_of_one_owner_are_left_out() -> None:
    owners, groups = np.arange(30) // 4, np.arange(25) // 6
    found = grouped_kernel_distance(X, owners, Y, groups, seed=0, draws=50)
    assert found.value == pytest.approx(naive(X, owners, Y, groups))


def test_one_patient_is_refused_and_two_have_an_interval() -> None:
    with pytest.raises(InputError, match="one owner"):
        grouped_kernel_distance(X, np.zeros(30, dtype=int), Y, seed=0, draws=5)
    found = grouped_kernel_distance(X, np.arange(30) % 2, Y, seed=0, draws=50)
    assert np.isfinite([found.low, found.high]).all()


def test_the_interval_is_wider_where_patients_differ() -> None:
    patients = np.repeat(np.arange(10), 20)
    rows = RNG.normal(size=(10, 4))[patients] + 0.1 * RNG.normal(size=(200, 4))
    other = RNG.normal(size=(100, 4))
    together = grouped_kernel_distance(rows, patients, other, seed=0, draws=200)
    alone = grouped_kernel_distance(rows, np.arange(200), other, seed=0, draws=200)
    assert together.high - together.low > 2 * (alone.high - alone.low)
