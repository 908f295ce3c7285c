import numpy as np
import pytest

from medgan_core.metrics import block_means, error_rank_correlation, interval_coverage

SPACING = (1.0, 1.0, 6.5)


def test_blocks_are_means_of_whole_voxels():
    values = np.random.default_rng(0).normal(size=(12, 10, 3))
    mask = np.ones(values.shape, dtype=bool)
    expected = [values[i : i + 5, j : j + 5, k].mean() for i in (0, 5) for j in (0, 5) for k in range(3)]
    np.testing.assert_allclose(block_means(values, mask, spacing=SPACING), expected)


def test_blocks_count_the_mask_only_and_need_half_of_it():
    values = np.zeros((10, 5, 1))
    mask = np.zeros(values.shape, dtype=bool)
    mask[:3] = True
    mask[5:7] = True
    values[mask] = 2.0
    values[~mask] = 1e9
    np.testing.assert_allclose(block_means(values, mask, spacing=SPACING), [2.0])


def test_rank_correlation_is_one_for_any_monotone_map_and_minus_one_for_its_opposite():
    error = np.random.default_rng(1).normal(size=(20, 20, 4))
    error = np.repeat(np.repeat(error[::5, ::5], 5, axis=0), 5, axis=1)
    mask = np.ones(error.shape, dtype=bool)
    expected = np.abs(error) ** 3
    assert error_rank_correlation(expected, error, mask, spacing=SPACING) == pytest.approx(1.0)
    assert error_rank_correlation(-expected, error, mask, spacing=SPACING) == pytest.approx(-1.0)


def test_rank_correlation_of_an_unrelated_map_is_near_zero():
    rng = np.random.default_rng(2)
    error, other = rng.normal(size=(2, 60, 60, 30))
    mask = np.ones(error.shape, dtype=bool)
    assert abs(error_rank_correlation(other, error, mask, spacing=(5.0, 5.0, 5.0))) < 0.02


def test_a_flat_map_says_nothing():
    error = np.random.default_rng(3).normal(size=(20, 20, 4))
    mask = np.ones(error.shape, dtype=bool)
    assert error_rank_correlation(np.ones(error.shape), error, mask, spacing=SPACING) == 0.0


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_laplace_errors_are_covered_as_often_as_claimed(level):
    rng = np.random.default_rng(4)
    expected = rng.uniform(0.01, 0.2, (80, 80, 30))
    error = rng.laplace(scale=expected)
    mask = np.ones(error.shape, dtype=bool)
    assert interval_coverage(expected, error, mask, level=level) == pytest.approx(level, abs=0.005)
    assert interval_coverage(expected / 3, error, mask, level=level) < level - 0.1


def test_coverage_counts_up_to_b_ln_10_inside_the_mask():
    expected = np.ones((4, 1, 1))
    error = np.array([-2.302, 2.303, 0.0, 50.0]).reshape(4, 1, 1)
    mask = np.array([True, True, True, False]).reshape(4, 1, 1)
    assert interval_coverage(expected, error, mask) == pytest.approx(2 / 3)


def test_what_makes_no_sense_is_refused():
    values, mask = np.ones((4, 4, 4)), np.ones((4, 4, 4), dtype=bool)
    with pytest.raises(ValueError, match="shapes differ"):
        block_means(values[1:], mask, spacing=SPACING)
    with pytest.raises(ValueError, match="shapes differ"):
        interval_coverage(values[1:], values, mask)
    with pytest.raises(ValueError, match="empty"):
        interval_coverage(values, values, ~mask)
    with pytest.raises(ValueError, match="level"):
        interval_coverage(values, values, mask, level=90)
