import numpy as np
import pytest
from scipy import ndimage

from benchmarks.baselines import nonlocal_means, regression
from benchmarks.baselines.gradient import gradient_magnitude
from medgan_core.metrics import peak_signal_to_noise
from tests.benchmarks.phantoms import SPACING, contrasts


def test_gradient_is_per_millimetre():
    i, j, _ = np.meshgrid(np.arange(6.0), np.arange(5.0), np.arange(4.0), indexing="ij")
    ramp = (3 * 0.5 * i + 4 * 2.0 * j).astype(np.float32)
    np.testing.assert_allclose(gradient_magnitude(ramp, spacing=(0.5, 2.0, 6.0)), 5.0, rtol=1e-5)


def test_gradient_of_a_single_slice_is_that_in_its_plane():
    ramp = np.arange(5.0, dtype=np.float32).reshape(5, 1, 1) * np.ones((1, 4, 1), np.float32)
    np.testing.assert_allclose(gradient_magnitude(ramp, spacing=(1.0, 1.0, 5.0)), 1.0)


def test_rician_mean_has_its_limits():
    sigma = 0.2
    assert nonlocal_means.rician_mean(np.array([0.0]), sigma)[0] == pytest.approx(sigma * np.sqrt(np.pi / 2))
    assert nonlocal_means.rician_mean(np.array([4.0]), sigma)[0] == pytest.approx(
        4.0 + sigma**2 / (2 * 4.0), rel=1e-5
    )


def test_rician_mean_is_that_of_simulated_noise():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.2, (2, 400_000))
    assert nonlocal_means.rician_mean(np.array([0.3]), 0.2)[0] == pytest.approx(
        np.hypot(0.3 + a, b).mean(), abs=2e-3
    )


def test_the_bias_is_taken_off_exactly():
    signal = np.linspace(0.0, 1.0, 50)
    means = nonlocal_means.rician_mean(signal, 0.15).astype(np.float32)
    np.testing.assert_allclose(nonlocal_means.unbias(means, 0.15), signal, atol=2e-3)
    np.testing.assert_array_equal(nonlocal_means.unbias(means, 0.0), means)


@pytest.mark.parametrize("slice_wise", [True, False])
def test_non_local_means_takes_noise_and_bias_away(slice_wise):
    truth = np.zeros((40, 40, 12), np.float32)
    truth[8:30, 10:32] = 0.5
    truth[15:22, 15:28] = 1.0
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 0.1, (2, *truth.shape)).astype(np.float32)
    noisy = np.hypot(truth + a, b)
    everywhere = np.ones(truth.shape, dtype=bool)
    clean = nonlocal_means.denoise(noisy, 0.1, slice_wise=slice_wise)
    before = peak_signal_to_noise(noisy, truth, everywhere)
    assert peak_signal_to_noise(clean, truth, everywhere) > before + 6
    assert abs(clean[2:6, 2:6].mean()) < 0.04 < noisy[2:6, 2:6].mean()


def samples(seeds):
    found = []
    for seed in seeds:
        images = {key: image / 1000 for key, image in contrasts(seed).items()}
        mask = images["T1"] > 0.1
        found.append(regression.sample(images, mask, spacing=SPACING, voxels=4000))
    return found


@pytest.mark.parametrize("kind", list(regression.ESTIMATORS))
def test_regression_learns_a_relation_and_beats_the_identity_on_another_head(kind):
    estimator = regression.fit(samples((10, 11)), ("T1",), "T2", kind=kind)
    images = {key: image / 1000 for key, image in contrasts(12).items()}
    mask = images["T1"] > 0.1
    maps = regression.neighbourhood(images["T1"], spacing=SPACING)
    predicted = regression.predict(estimator, maps, mask)
    identity = peak_signal_to_noise(images["T1"], images["T2"], mask)
    assert peak_signal_to_noise(predicted, images["T2"], mask) > identity + 10
    assert not predicted[~mask].any()


def test_trees_learn_what_a_line_cannot():
    inputs = samples((10, 11))
    images = {key: image / 1000 for key, image in contrasts(12).items()}
    mask = images["T1"] > 0.1
    maps = regression.neighbourhood(images["T1"], spacing=SPACING)
    linear, trees = (
        peak_signal_to_noise(
            regression.predict(regression.fit(inputs, ("T1",), "FLAIR", kind=kind), maps, mask),
            images["FLAIR"],
            mask,
        )
        for kind in ("linear", "trees")
    )
    assert trees > linear + 3


def test_neighbourhood_maps_are_what_they_say():
    image = np.random.default_rng(2).uniform(size=(9, 8, 7)).astype(np.float32)
    maps = regression.neighbourhood(image, spacing=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(maps[0], image)
    neighbours = {float(m[4, 4, 3]) for m in maps[1:7]}
    expected = {
        float(image[4 + a, 4 + b, 3 + c]) for a, b, c in np.vstack([np.eye(3), -np.eye(3)]).astype(int)
    }
    assert neighbours == expected
    assert maps[7][4, 4, 3] == pytest.approx(image[3:6, 3:6, 2:5].mean(), rel=1e-5)
    assert maps[10][4, 4, 3] == pytest.approx(image[3:6, 3:6, 2:5].std(), rel=1e-3)
    np.testing.assert_allclose(
        maps[-1], ndimage.gaussian_gradient_magnitude(image, 1.0, mode="nearest"), rtol=1e-5
    )


def test_a_regression_nobody_can_teach_is_refused():
    with pytest.raises(ValueError, match="T1post"):
        regression.fit(samples((10,)), ("T1post",), "T2", kind="linear")
