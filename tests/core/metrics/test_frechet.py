import numpy as np
import pytest
from scipy.linalg import sqrtm

from medgan_core.errors import InputError
from medgan_core.metrics.frechet import frechet_distance, gaussian_frechet_distance


def covariance(seed, size):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T


def test_diagonal_gaussians_have_the_closed_form():
    mean, other = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    sigma, tau = np.array([1.0, 2.0, 0.1]), np.array([3.0, 2.0, 0.0])
    value = gaussian_frechet_distance(mean, np.diag(sigma**2), other, np.diag(tau**2))
    assert value == pytest.approx(((mean - other) ** 2).sum() + ((sigma - tau) ** 2).sum(), rel=1e-9)


def test_full_covariances_agree_with_a_matrix_square_root():
    first, second = covariance(0, 6), covariance(1, 6)
    gap = np.arange(6.0) / 5
    naive = gap @ gap + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert gaussian_frechet_distance(gap, first, np.zeros(6), second) == pytest.approx(naive, rel=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 70, 4), (5, 60, 8), (6, 5, 20)])
def test_samples_give_the_distance_of_their_own_gaussians(n, m, d):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(n, d)), rng.normal(0.3, 1.5, (m, d))
    expected = gaussian_frechet_distance(
        x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False)
    )
    assert frechet_distance(x, y).value == pytest.approx(expected, rel=1e-6)


def test_a_set_has_no_distance_to_itself_and_a_shift_costs_its_square():
    x = np.random.default_rng(3).normal(size=(200, 10))
    assert frechet_distance(x, x).value == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(x, x + 0.5).value == pytest.approx(10 * 0.25, rel=1e-9)
    assert frechet_distance(x, 3 * x - 2 * x.mean(axis=0)).value == pytest.approx(
        4 * x.var(axis=0, ddof=1).sum(), rel=1e-9
    )


@pytest.mark.parametrize("per_dimension", [10, 20])
def test_few_samples_bias_it_as_documented(per_dimension):
    d = 32
    n = per_dimension * d
    rng = np.random.default_rng(4)
    values = [frechet_distance(rng.normal(size=(n, d)), rng.normal(size=(n, d))).value for _ in range(8)]
    assert np.mean(values) == pytest.approx(d * (d + 5) / (2 * n), rel=0.1)


def test_it_says_when_the_samples_are_too_few():
    rng = np.random.default_rng(5)
    enough = frechet_distance(rng.normal(size=(40, 4)), rng.normal(size=(50, 4)))
    few = frechet_distance(rng.normal(size=(39, 4)), rng.normal(size=(50, 4)))
    singular = frechet_distance(rng.normal(size=(40, 4)), rng.normal(size=(4, 4)))
    assert enough.enough
    assert enough.remark == ""
    assert not few.enough
    assert "39 samples for 4 dimensions are too few, so the distance is biased" in few.remark
    assert not singular.enough
    assert "singular" in singular.remark


def test_one_sample_is_refused():
    with pytest.raises(InputError, match="real samples"):
        frechet_distance(np.zeros((1, 4)), np.zeros((9, 4)))
