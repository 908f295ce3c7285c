import math

import numpy as np
import pytest

from medgan_core.metrics.overlap import dice, dice_per_label

TRUTH = np.array([[1, 1, 0], [2, 2, 0]])


def test_dice_by_hand():
    predicted = np.array([[1, 0, 0], [2, 2, 2]])
    assert dice(predicted, TRUTH, label=1) == pytest.approx(2 / 3)
    assert dice(predicted, TRUTH, label=2) == pytest.approx(4 / 5)
    assert dice(TRUTH, TRUTH, label=1) == 1.0


def test_a_label_in_one_of_the_two_scores_nothing_and_in_neither_has_no_value():
    assert dice(np.zeros_like(TRUTH), TRUTH, label=1) == 0.0
    assert dice(TRUTH, np.zeros_like(TRUTH), label=1) == 0.0
    assert dice(TRUTH, TRUTH, label=7) is None


def test_the_table_counts_cases_with_and_without_the_label():
    empty = np.zeros_like(TRUTH)
    half = np.array([[1, 0, 0], [0, 0, 0]])
    first, second, third = dice_per_label(
        [TRUTH, half, empty, empty], [TRUTH, TRUTH, TRUTH, empty], labels=(1, 2, 3)
    )
    values = [1.0, 2 / 3, 0.0]
    assert (first.label, first.n, first.absent) == (1, 3, 1)
    assert first.mean == pytest.approx(np.mean(values))
    assert first.spread == pytest.approx(np.std(values, ddof=1))
    assert second.mean == pytest.approx(1 / 3)
    assert (third.n, third.absent) == (0, 4)
    assert math.isnan(third.mean)
    assert math.isnan(third.spread)


def test_cases_of_different_shape_count_alike():
    large = np.ones((50, 50), dtype=int)
    small, wrong = np.ones((2, 2), dtype=int), np.zeros((2, 2), dtype=int)
    (found,) = dice_per_label([large, wrong], [large, small], labels=(1,))
    assert found.mean == 0.5


def test_shapes_and_numbers_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        dice(np.zeros((2, 2), dtype=int), np.zeros((2, 3), dtype=int), label=1)
    with pytest.raises(ValueError, match="1 predictions for 2"):
        dice_per_label([TRUTH], [TRUTH, TRUTH], labels=(1,))
