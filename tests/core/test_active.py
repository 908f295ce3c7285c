from __future__ import annotations

import numpy as np
import pytest

from medgan_core.active import STRATEGIES, Pool, at_random, core_set, disagreement, most_uncertain, order
from medgan_core.errors import UsageError


def members(*foreground: float) -> np.ndarray:
    """Views of 10 voxels of 2 classes, each with the same probability everywhere."""
    return np.stack([np.stack([np.full(10, 1 - p), np.full(10, p)]) for p in foreground])


def test_views_that_agree_do_not_disagree_however_undecided() -> None:
    assert disagreement(members(0.5, 0.5, 0.5)) == pytest.approx(0.0, abs=1e-12)
    assert disagreement(members(0.9, 0.9)) == pytest.approx(0.0, abs=1e-12)


def test_opposite_certain_views_disagree_by_one_bit_a_voxel() -> None:
    # Half of the voxels are expected to be labelled, so a voxel's ln 2 counts twice.
    assert disagreement(members(0.0, 1.0)) == pytest.approx(2 * np.log(2), rel=1e-6)


def test_the_size_of_a_structure_does_not_count() -> None:
    small = np.concatenate([members(0.2, 0.8), members(0.0, 0.0)], axis=2)
    large = np.concatenate([members(0.2, 0.8), members(0.2, 0.8)], axis=2)
    assert disagreement(small) == pytest.approx(disagreement(large), rel=1e-6)


def test_the_most_uncertain_comes_first_and_ties_keep_their_order() -> None:
    assert most_uncertain(np.array([0.1, 0.7, 0.1, 0.9])).tolist() == [3, 1, 0, 2]


def test_a_core_set_takes_the_farthest_of_what_is_left() -> None:
    features = np.array([[0.0], [1.0], [10.0], [11.0], [5.0]])
    assert core_set(features, np.array([[0.0]])).tolist()[:3] == [3, 4, 1]
    chosen = core_set(features, np.empty((0, 1)))
    assert chosen[0] == 4, "the one nearest to the middle begins"
    assert set(chosen[1:3].tolist()) == {0, 3}, "then both ends"


def test_a_core_set_covers_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(4, 2)) + 30])
    first = core_set(features, features[:1])[:6]
    radius = np.min([np.linalg.norm(features - features[i], axis=1) for i in first], axis=0).max()
    drawn = [at_random(54, seed=s)[:6] for s in range(20)]
    others = [
        np.min([np.linalg.norm(features - features[i], axis=1) for i in one], axis=0).max() for one in drawn
    ]
    assert radius < np.median(others)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_order_holds_every_candidate_once(strategy: str) -> None:
    rng = np.random.default_rng(1)
    pool = Pool(scores=rng.random(12), features=rng.normal(size=(12, 3)), labelled=rng.normal(size=(2, 3)))
    assert sorted(order(strategy, pool).tolist()) == list(range(12))
    np.testing.assert_array_equal(order(strategy, pool), order(strategy, pool))


def test_scales_of_features_do_not_count() -> None:
    rng = np.random.default_rng(2)
    features, labelled = rng.normal(size=(9, 2)), rng.normal(size=(3, 2))
    stretch = np.array([1.0, 1e4])
    a = order("diversity", Pool(np.zeros(9), features, labelled))
    b = order("diversity", Pool(np.zeros(9), features * stretch, labelled * stretch))
    np.testing.assert_array_equal(a, b)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match="no such strategy"):
        order("best", Pool(np.zeros(1), np.zeros((1, 1)), np.zeros((0, 1))))
