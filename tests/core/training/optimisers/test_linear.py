from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medgan_core.training.optimisers.linear import Solution, conjugate_gradients


def system(size: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.eye(size, dtype=torch.float64) + root @ root.T, torch.ones(size, dtype=torch.float64)


def solve(matrix: Tensor, wanted: Tensor, start: Tensor, iterations: int = 40) -> tuple[Solution, int]:
    calls = 0

    def product(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return matrix @ v

    found = conjugate_gradients(product, wanted, start=start, iterations=iterations, tolerance=1e-10)
    return found, calls


def test_it_equals_a_dense_solve() -> None:
    matrix, wanted = system()
    found, _ = solve(matrix, wanted, torch.zeros(12, dtype=torch.float64))
    torch.testing.assert_close(found.value, torch.linalg.solve(matrix, wanted))
    assert found.residual <= 1e-10
    assert found.iterations <= 20


def test_a_good_start_saves_iterations_and_a_bad_one_costs_none() -> None:
    matrix, wanted = system()
    cold, _ = solve(matrix, wanted, torch.zeros(12, dtype=torch.float64))
    warm, calls = solve(matrix, wanted, cold.value)
    assert (warm.iterations, calls) == (0, 1)
    torch.testing.assert_close(warm.value, cold.value)
    near, _ = solve(matrix, wanted, cold.value + 1e-9)
    assert near.iterations < cold.iterations
    bad, calls = solve(matrix, wanted, torch.full((12,), 1e9, dtype=torch.float64))
    assert torch.equal(bad.value, cold.value)
    assert calls == cold.iterations + 1


def test_the_cap_holds_and_the_residual_says_so() -> None:
    matrix, wanted = system()
    found, calls = solve(matrix, wanted, torch.zeros(12, dtype=torch.float64), iterations=2)
    assert (found.iterations, calls) == (2, 2)
    exact = (wanted - matrix @ found.value).norm() / wanted.norm()
    assert found.residual == pytest.approx(float(exact))
    assert found.residual > 1e-10


@pytest.mark.parametrize("last", [-5.0, float("nan"), float("inf")])
def test_a_matrix_that_does_not_suit_is_given_up(last: float) -> None:
    matrix = torch.diag(torch.tensor([1.0, 2.0, last], dtype=torch.float64))
    found, _ = solve(matrix, torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    assert not found.residual <= 1e-10


def test_nothing_wanted_is_solved_by_nothing() -> None:
    matrix, wanted = system()
    found, calls = solve(matrix, 0 * wanted, wanted)
    assert (found.iterations, found.residual, calls) == (0, 0.0, 0)
    assert not found.value.any()
