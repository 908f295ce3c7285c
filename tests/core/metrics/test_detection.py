import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.detection import (
    area_under_roc,
    average_precision,
    delong_interval,
    patient_bootstrap,
)


def graded(seed, count=60, levels=12):
    """Scores with many ties, and labels that lean on them."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(levels, size=count).astype(float)
    return scores, rng.uniform(size=count) < 0.2 + 0.6 * scores / levels


def counted(scores, positive):
    pairs = [(x > y) + 0.5 * (x == y) for x in scores[positive] for y in scores[~positive]]
    return float(np.mean(pairs))


@pytest.mark.parametrize("seed", range(5))
def test_auroc_equals_the_count_over_all_pairs(seed):
    scores, positive = graded(seed)
    assert area_under_roc(scores, positive) == pytest.approx(counted(scores, positive), rel=1e-12)
    assert area_under_roc(-scores, positive) == pytest.approx(1 - counted(scores, positive), rel=1e-12)


def test_delong_on_the_ratings_of_hanley_and_mcneil():
    """109 CT images rated 1 to 5 (Radiology 1982, table I).

    Known from Stata's `roctab` manual: area 0.8932, DeLong's error 0.0307, interval 0.83295 to 0.95339.
    """
    ratings = np.arange(1.0, 6.0)
    normal, abnormal = np.repeat(ratings, [33, 6, 6, 11, 2]), np.repeat(ratings, [3, 2, 2, 11, 33])
    scores = np.concatenate([normal, abnormal])
    positive = np.repeat([False, True], [58, 51])
    found = delong_interval(scores, positive)
    assert found.value == pytest.approx(0.8932, abs=5e-5)
    assert (found.high - found.low) / (2 * 1.959964) == pytest.approx(0.0307, abs=5e-5)
    assert found.low == pytest.approx(0.83295, abs=5e-6)
    assert found.high == pytest.approx(0.95339, abs=5e-6)
    assert (found.positives, found.negatives, found.patients) == (51, 58, None)


def test_delong_by_hand():
    # Shares of negatives below the positives 3, 5, 6: 2/3, 1, 1; both variances are 1/27, so 2/81 in all.
    scores, positive = np.array([3.0, 5, 6, 1, 2, 4]), np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    found = delong_interval(scores, positive, level=0.5)
    assert found.value == pytest.approx(8 / 9)
    assert found.value - found.low == pytest.approx(0.6744898 * np.sqrt(2) / 9, rel=1e-6)
    assert delong_interval(scores, positive).high == 1.0


def test_delong_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    positive = np.repeat([True, False], [40, 60])
    truth = 0.7602499  # of unit normals one apart: Phi(1 / sqrt 2)
    inside = 0
    for _ in range(400):
        found = delong_interval(rng.normal(size=100) + positive, positive)
        inside += found.low <= truth <= found.high
    assert 0.91 < inside / 400 < 0.98


def test_average_precision_by_hand():
    scores, positive = np.array([4.0, 3, 2, 1]), np.array([1, 0, 1, 0], dtype=bool)
    assert average_precision(scores, positive) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Equal scores stand or fall together: one threshold finds both positives among three.
    tied = np.array([2.0, 2, 2, 1])
    assert average_precision(tied, positive) == pytest.approx(2 / 3)
    assert average_precision(np.zeros(4), positive) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_equals_the_sum_over_thresholds(seed):
    scores, positive = graded(seed)
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        recall = positive[chosen].sum() / positive.sum()
        total += (recall - before) * positive[chosen].mean()
        before = recall
    assert average_precision(scores, positive) == pytest.approx(total, rel=1e-12)


def patches(seed, patients=12, each=20, apart=1.5):
    """Scores whose offset is the patient's own, so that patches of a patient are alike."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), each)
    positive = rng.uniform(size=owner.size) < 0.3 + 0.4 * (owner % 2)
    return (
        1.0 * positive + apart * rng.normal(size=patients)[owner] + rng.normal(size=owner.size),
        positive,
        owner,
    )


def test_patients_as_units_widen_the_interval_of_patches_that_are_alike():
    scores, positive, owner = patches(1)
    by_patient = patient_bootstrap(area_under_roc, scores, positive, owner, seed=0, draws=400)
    by_case = delong_interval(scores, positive)
    assert by_patient.value == pytest.approx(by_case.value)
    assert by_patient.low <= by_patient.value <= by_patient.high
    assert by_patient.high - by_patient.low > 1.3 * (by_case.high - by_case.low)
    assert by_patient.patients == 12


def test_patients_of_one_case_each_give_about_the_interval_of_delong():
    scores, positive, _ = patches(2, apart=0.0)
    alone = patient_bootstrap(area_under_roc, scores, positive, np.arange(scores.size), seed=0, draws=600)
    normal = delong_interval(scores, positive)
    assert alone.low == pytest.approx(normal.low, abs=0.015)
    assert alone.high == pytest.approx(normal.high, abs=0.015)


def test_the_bootstrap_repeats_by_its_seed_and_takes_any_statistic():
    scores, positive, owner = patches(3)
    names = np.array([f"p{n}" for n in owner])
    one, again, other = (
        patient_bootstrap(average_precision, scores, positive, names, seed=s, draws=50) for s in (1, 1, 2)
    )
    assert one == again
    assert one.value == average_precision(scores, positive)
    assert one != other


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputError, match="4 positive, 0 negative"):
        area_under_roc(np.arange(4.0), np.ones(4, dtype=bool))
    with pytest.raises(InputError, match="1 not finite"):
        average_precision(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(InputError, match="at least 2 of each"):
        delong_interval(np.arange(3.0), np.array([True, False, False]))
    with pytest.raises(InputError, match="1 patients"):
        patient_bootstrap(area_under_roc, np.arange(4.0), np.arange(4) > 1, np.zeros(4), seed=0, draws=20)
    with pytest.raises(ValueError, match="must be"):
        area_under_roc(np.zeros(3), np.zeros(4, dtype=bool))
