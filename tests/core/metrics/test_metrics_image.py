import math

import numpy as np
import pytest

from medgan_core.metrics import fit_gain, mean_absolute_error, peak_signal_to_noise


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 1.0, (6, 7, 5)).astype(np.float32)
    mask = rng.uniform(size=truth.shape) > 0.3
    return truth, mask


def test_gain_undoes_a_scale(images):
    truth, mask = images
    assert fit_gain(truth / 250.0, truth, mask) == pytest.approx(250.0, rel=1e-6)


def test_gain_is_the_best_factor(images):
    truth, mask = images
    prediction = np.random.default_rng(1).uniform(0, 5, truth.shape)
    best = fit_gain(prediction, truth, mask)

    def cost(gain):
        return float(((gain * prediction - truth)[mask] ** 2).sum())

    assert cost(best) < min(cost(best * 0.99), cost(best * 1.01))


def test_gain_has_no_offset(images):
    truth, mask = images
    prediction = truth + 3.0
    gain = fit_gain(prediction, truth, mask)
    assert mean_absolute_error(gain * prediction, truth, mask) > 0.05


def test_gain_of_an_empty_image_is_one(images):
    truth, mask = images
    assert fit_gain(np.zeros_like(truth), truth, mask) == 1.0


def test_constant_error_has_its_analytic_figures(images):
    truth, mask = images
    assert mean_absolute_error(truth + 0.1, truth, mask) == pytest.approx(0.1, rel=1e-5)
    assert peak_signal_to_noise(truth + 0.1, truth, mask) == pytest.approx(20.0, rel=1e-5)
    assert peak_signal_to_noise(truth + 0.1, truth, mask, peak=10.0) == pytest.approx(40.0, rel=1e-5)


def test_identical_images_have_infinite_psnr(images):
    truth, mask = images
    assert peak_signal_to_noise(truth, truth, mask) == math.inf


def test_only_the_mask_counts(images):
    truth, mask = images
    prediction = np.where(mask, truth + 0.01, 1e6)
    assert fit_gain(np.where(mask, truth, 1e6), truth, mask) == pytest.approx(1.0)
    assert mean_absolute_error(prediction, truth, mask) == pytest.approx(0.01, rel=1e-4)
    assert peak_signal_to_noise(prediction, truth, mask) == pytest.approx(40.0, rel=1e-4)


@pytest.mark.parametrize("figure", [fit_gain, mean_absolute_error, peak_signal_to_noise])
def test_what_does_not_belong_together_is_refused(figure, images):
    truth, mask = images
    with pytest.raises(ValueError, match="shapes differ"):
        figure(truth[:-1], truth, mask)
    with pytest.raises(ValueError, match="empty"):
        figure(truth, truth, np.zeros_like(mask))
