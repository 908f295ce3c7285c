import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.metrics.copies import find_copies, nearest_training


def draw(seed, count, size=16):
    return np.random.default_rng(seed).normal(size=(count, size))


def test_planted_copies_are_found_and_named():
    training, held_back = draw(0, 120), draw(1, 60)
    noise = 0.01 * draw(2, 6)
    planted = np.array([3, 17, 44, 80, 99, 3])
    generated = np.concatenate([draw(3, 34), training[planted] + noise])
    found = find_copies(generated, training, held_back, level=0.0)
    assert 6 / 40 <= found.rate <= 9 / 40
    assert (found.distances[-6:] < found.threshold).all()
    np.testing.assert_array_equal(found.nearest[-6:], planted)
    assert 6 / 40 <= found.singled_out_rate <= found.rate
    assert (found.samples, found.training, found.held_back) == (40, 120, 60)


def test_samples_like_unseen_images_show_the_level_and_no_lean():
    reports = [find_copies(draw(3 * s, 100), draw(3 * s + 1, 80), draw(3 * s + 2, 100)) for s in range(30)]
    assert np.mean([r.rate for r in reports]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([r.closer for r in reports]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([r.median_ratio for r in reports]) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(("level", "rank"), [(0.0, 0), (0.05, 1), (0.25, 5), (0.99, 19)])
def test_the_threshold_is_the_held_back_distance_of_its_rank(level, rank):
    training, held_back = draw(4, 50), draw(5, 20)
    distances = np.sort([np.linalg.norm(training - h, axis=1).min() for h in held_back])
    found = find_copies(draw(6, 5), training, held_back, level=level)
    assert found.threshold == pytest.approx(distances[rank])
    assert found.held_back_rate == pytest.approx(rank / 20)
    assert found.held_back_rate <= level


def test_closer_is_the_share_of_pairs():
    training = np.array([[0.0], [99.0]])
    found = find_copies(np.array([[1.0], [2.0]]), training, np.array([[2.0], [3.0], [0.5]]))
    # 1 < 2 and 3; 2 < 3, and ties with 2.
    assert found.closer == pytest.approx((2 + 1 + 0.5) / 6)


def test_a_generator_that_only_hands_out_training_images():
    training = draw(7, 30)
    found = find_copies(training, training, draw(8, 20))
    assert found.rate == 1.0
    assert found.singled_out_rate == 1.0
    assert found.closer == 1.0
    assert found.median_ratio == 0.0
    np.testing.assert_array_equal(found.nearest, np.arange(30))


def test_nearest_in_parts_equals_the_whole(monkeypatch):
    rows, training = draw(9, 23), draw(10, 31)
    owners = np.arange(31) // 4
    whole = nearest_training(rows, training, owners)
    monkeypatch.setattr("medgan_core.metrics.copies._CHUNK", 5)
    for a, b in zip(whole, nearest_training(rows, training, owners), strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_may_be_given_as_they_are():
    rows = [draw(s, n, 24) for s, n in ((11, 6), (12, 9), (13, 5))]
    flat = find_copies(*rows)
    shaped = find_copies(*(r.reshape(len(r), 1, 4, 6) for r in rows))
    np.testing.assert_array_equal(flat.distances, shaped.distances)


def test_bad_sets_are_refused():
    with pytest.raises(InputError, match="held-back images"):
        find_copies(draw(0, 5), draw(1, 5), draw(2, 1))
    with pytest.raises(ValueError, match="lengths differ"):
        find_copies(draw(0, 5), draw(1, 5, 4), draw(2, 5))
    with pytest.raises(ValueError, match="4 patients named for 5"):
        find_copies(draw(0, 5), draw(1, 5), draw(2, 5), patients=np.arange(4))
    with pytest.raises(InputError, match="all of one patient"):
        find_copies(draw(0, 5), draw(1, 5), draw(2, 5), patients=np.zeros(5))
    with pytest.raises(ValueError, match="level"):
        find_copies(draw(0, 5), draw(1, 5), draw(2, 5), level=1.0)


def test_blurred_samples_are_near_and_not_singled_out():
    training, held_back = draw(14, 100), draw(15, 60)
    blurred = 0.3 * draw(16, 80)
    found = find_copies(blurred, training, held_back)
    assert found.rate > 0.7
    assert found.closer > 0.9
    assert found.singled_out_rate < 0.1
    # Copies that are blurred themselves are still told apart, as long as something of them is left.
    copied = find_copies(0.6 * training, training, held_back)
    assert copied.singled_out_rate > 0.9


def test_the_margin_looks_at_other_patients():
    training = np.array([[0.0], [0.1], [4.0], [9.0]])
    rows = np.array([[1.0], [9.0], [4.0]])
    owners = np.array([0, 0, 1, 2])
    distances, margins, nearest = nearest_training(rows, training, owners)
    np.testing.assert_allclose(distances, [0.9, 0.0, 0.0])
    np.testing.assert_allclose(margins, [0.9 / 3.0, 0.0, 0.0])
    np.testing.assert_array_equal(nearest, [1, 3, 2])


def test_copies_of_a_patient_with_many_alike_images_are_singled_out_by_patient():
    """Neighbouring slices: the second nearest image is of the same patient, and no proof of anything."""
    base = draw(17, 20)
    training = np.repeat(base, 5, axis=0) + 0.05 * draw(18, 100)
    patients = np.repeat(np.arange(20), 5)
    by_patient = find_copies(base, training, draw(20, 40), patients=patients)
    assert by_patient.rate == 1.0
    assert by_patient.singled_out_rate == 1.0
    _, patient_margins, _ = nearest_training(base, training, patients)
    _, image_margins, _ = nearest_training(base, training, np.arange(100))
    assert patient_margins.max() < 0.1
    assert image_margins.min() > 0.6


def test_a_sample_on_two_patients_at_once_has_no_margin():
    training = np.array([[1.0], [1.0], [5.0]])
    _, margins, _ = nearest_training(np.array([[1.0]]), training, np.arange(3))
    assert margins[0] == 1.0
