import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.kid import kernel_distance, squared_mmd


def gaussian(seed, count, size=8, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, (count, size))


def test_mmd_equals_the_double_sums_of_its_definition():
    x, y = gaussian(0, 7, 3), gaussian(1, 5, 3, 0.4)

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    within_x = sum(kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    between = sum(kernel(a, b) for a in x for b in y) / 35
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * between, rel=1e-12)


def test_one_distribution_has_mean_zero_however_few_samples():
    values = np.array([squared_mmd(gaussian(2 * s, 12), gaussian(2 * s + 1, 9)) for s in range(600)])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).any()


def test_a_linear_kernel_gives_the_squared_distance_of_the_means():
    shift = 0.7
    values = [
        squared_mmd(gaussian(2 * s, 20), gaussian(2 * s + 1, 20, shift=shift), degree=1) for s in range(400)
    ]
    # k = x.y / d + 1, so the population value is |m - m'|^2 / d = shift^2.
    assert np.mean(values) == pytest.approx(shift**2, rel=0.03)


def test_sums_in_parts_equal_the_whole(monkeypatch):
    x, y = gaussian(3, 50), gaussian(4, 40, shift=0.2)
    whole = squared_mmd(x, y)
    monkeypatch.setattr("medgan_core.metrics.kid._CHUNK", 7)
    assert squared_mmd(x, y) == pytest.approx(whole, rel=1e-12)


def test_a_shift_stands_out_of_the_block_spread():
    same = kernel_distance(gaussian(5, 400), gaussian(6, 300), seed=0)
    shifted = kernel_distance(gaussian(5, 400), gaussian(6, 300, shift=0.5), seed=0)
    assert abs(same.value) < 4 * same.standard_error
    assert shifted.value > 4 * shifted.standard_error
    assert same.standard_error == pytest.approx(same.spread / np.sqrt(10))
    assert (same.blocks, same.real, same.generated) == (10, 400, 300)


def test_the_standard_error_is_that_of_repeated_draws():
    repeats = [kernel_distance(gaussian(2 * s, 200), gaussian(2 * s + 1, 200), seed=s) for s in range(100)]
    true_error = np.std([r.value for r in repeats])
    claimed = np.mean([r.standard_error for r in repeats])
    assert true_error < claimed < 4 * true_error


def test_the_seed_deals_the_blocks_and_nothing_else():
    x, y = gaussian(7, 60), gaussian(8, 60)
    one, again, other = (kernel_distance(x, y, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.value == other.value
    assert one.spread != other.spread


def test_images_are_flattened_and_few_of_them_make_fewer_blocks():
    x, y = gaussian(9, 6, 24), gaussian(10, 5, 24)
    found = kernel_distance(x.reshape(6, 2, 3, 4), y.reshape(5, 2, 3, 4), seed=0)
    assert found.value == pytest.approx(squared_mmd(x, y))
    assert found.blocks == 2
    assert np.isnan(kernel_distance(x[:3], y, seed=0).spread)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match=r"generated samples.*at least 2.*Got: 1"):
        kernel_distance(gaussian(0, 5), gaussian(1, 1), seed=0)
    broken = gaussian(1, 5)
    broken[2, 0] = np.nan
    with pytest.raises(InputError, match="1 of 5 with NaN"):
        kernel_distance(gaussian(0, 5), broken, seed=0)
    with pytest.raises(ValueError, match="lengths differ"):
        kernel_distance(gaussian(0, 5), gaussian(1, 5, 7), seed=0)
