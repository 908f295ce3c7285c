import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.density_coverage import expected_coverage, manifold_scores


def test_hand_made_points_on_a_line():
    # Reach of the real points with one neighbour: 1, 1, 2, 6; of the generated ones: 1.5, 1.5, 96.
    real = np.array([[0.0], [1.0], [3.0], [9.0]])
    generated = np.array([[0.5], [2.0], [98.0]])
    found = manifold_scores(real, generated, neighbours=1)
    # 0.5 lies in the balls of 0 and 1; 2.0 in those of 1 (its surface) and 3; 98 in none.
    assert found.precision == pytest.approx(2 / 3)
    assert found.density == pytest.approx(4 / 3)
    assert found.coverage == pytest.approx(3 / 4)
    # 0 and 1 lie in the ball of 0.5, 1 and 3 in that of 2.0; 3 and 9 within 96 of 98.
    assert found.recall == pytest.approx(1.0)


def naive(real, generated, k):
    def reach(points):
        return [sorted(np.linalg.norm(points - p, axis=1))[k] for p in points]

    around_real, around_generated = reach(real), reach(generated)
    in_real = [[np.linalg.norm(g - r) <= around_real[i] for i, r in enumerate(real)] for g in generated]
    in_generated = [
        [np.linalg.norm(g - r) <= around_generated[j] for j, g in enumerate(generated)] for r in real
    ]
    return (
        np.mean([any(row) for row in in_real]),
        np.mean([any(row) for row in in_generated]),
        np.sum(in_real) / (k * len(generated)),
        np.mean(np.any(in_real, axis=0)),
    )


@pytest.mark.parametrize("chunk", [7, 1024])
def test_random_points_agree_with_the_definition(chunk, monkeypatch):
    monkeypatch.setattr("medgan_core.metrics.density_coverage._CHUNK", chunk)
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(40, 3)), rng.normal(0.5, 0.7, (30, 3))
    found = manifold_scores(real, generated, neighbours=3)
    expected = naive(real, generated, 3)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected)


def test_one_distribution_has_density_one_and_the_expected_coverage():
    rng = np.random.default_rng(1)
    found = [manifold_scores(rng.normal(size=(150, 4)), rng.normal(size=(100, 4))) for _ in range(20)]
    assert np.mean([f.density for f in found]) == pytest.approx(1.0, abs=0.05)
    assert np.mean([f.coverage for f in found]) == pytest.approx(expected_coverage(150, 100), abs=0.02)


def test_a_collapsed_generator_is_precise_and_covers_little():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(300, 4))
    collapsed = 0.01 * rng.normal(size=(300, 4))
    found = manifold_scores(real, collapsed)
    assert found.precision == 1.0
    assert found.recall < 0.01
    assert found.coverage < 0.3 < found.expected_coverage


def test_one_outlier_inflates_precision_and_not_density():
    """What density was made for: the large ball of one far real sample catches everything."""
    rng = np.random.default_rng(3)
    real = np.concatenate([rng.normal(size=(100, 2)), [[20.0, 0.0]]])
    between = np.tile([[12.0, 0.0]], (50, 1)) + 0.1 * rng.normal(size=(50, 2))
    found = manifold_scores(real, between)
    assert found.precision == 1.0
    assert found.density == pytest.approx(1 / 5)


def test_expected_coverage_of_one_neighbour_is_the_chance_that_the_nearest_is_generated():
    assert expected_coverage(11, 30, neighbours=1) == pytest.approx(30 / 40)
    assert expected_coverage(10_000, 10_000) == pytest.approx(1 - 2**-5, abs=1e-3)


def test_too_few_points_for_the_neighbours_are_refused():
    with pytest.raises(InputError, match="at least 6"):
        manifold_scores(np.zeros((5, 2)), np.zeros((9, 2)))
