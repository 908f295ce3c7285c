import math

import numpy as np
import pytest
from skimage.metrics import structural_similarity as reference

from benchmarks.judging import noisy_copy
from benchmarks.scoring import score_trust
from medgan_core.evaluation import Truth, oriented, score
from medgan_core.metrics import structural_similarity
from medgan_core.volume import Geometry, Volume
from tests.benchmarks.phantoms import SPACING, contrasts


def turned_volume():
    """The phantom stored with its slices first and an axis against RAS, as scanners do."""
    data = contrasts(5)["T1"]
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = SPACING[2], -SPACING[0], SPACING[1], 1
    stored = np.ascontiguousarray(np.flip(data, 0).transpose(2, 0, 1))
    return data, Volume(stored, Geometry(stored.shape, affine))


def test_orientation_finds_the_slices_and_goes_back():
    data, volume = turned_volume()
    np.testing.assert_array_equal(oriented(volume.data[0], volume.geometry), data)
    truth = Truth.of(volume, brain_only=False)
    assert truth.slice_wise
    assert truth.spacing == pytest.approx(SPACING)
    np.testing.assert_allclose(truth.back(truth.image).data, volume.data, rtol=1e-5)


def test_truth_is_scaled_by_its_foreground():
    _, volume = turned_volume()
    truth = Truth.of(volume, brain_only=False)
    assert np.percentile(truth.image[truth.mask], 99.5) == pytest.approx(1.0, rel=1e-5)
    assert 0.3 < truth.mask.mean() < 0.8
    assert Truth.of(volume, brain_only=True).mask.mean() > truth.mask.mean()


def test_the_truth_in_another_unit_is_perfect():
    _, volume = turned_volume()
    truth = Truth.of(volume, brain_only=False)
    figures = score(truth, truth.image * 37)
    assert figures["gain"] == pytest.approx(1 / 37)
    assert figures["psnr"] > 100 or math.isinf(figures["psnr"])
    assert figures["ssim"] == pytest.approx(1.0, abs=1e-5)
    assert figures["ms_ssim"] == pytest.approx(1.0, abs=1e-5)


def test_a_trust_map_that_knows_the_errors_wins_over_the_edges():
    _, volume = turned_volume()
    truth = Truth.of(volume, brain_only=False)
    rng = np.random.default_rng(0)
    blocks = rng.uniform(0.01, 0.1, tuple(-(-n // 4) for n in truth.image.shape[:2]))
    expected = np.kron(blocks, np.ones((4, 4)))[: truth.image.shape[0], : truth.image.shape[1], None]
    expected = np.broadcast_to(expected, truth.image.shape).astype(np.float32)
    image = (truth.image + rng.laplace(scale=expected)).astype(np.float32)
    figures = score_trust(truth, 9 * image, 9 * expected, [truth.image, image])
    assert figures["spearman"] > 0.8 > figures["gradient_spearman"]
    assert figures["coverage"] == pytest.approx(0.9, abs=0.02)


def test_noise_is_the_same_for_every_method_and_as_strong_as_named():
    _, volume = turned_volume()
    truth = Truth.of(volume, brain_only=False)
    noisy = noisy_copy(truth, 9, "one/T1")
    np.testing.assert_array_equal(noisy, noisy_copy(truth, 9, "one/T1"))
    assert not np.array_equal(noisy, noisy_copy(truth, 9, "two/T1"))
    bright = truth.image > 0.5
    assert (noisy - truth.image)[bright].std() == pytest.approx(0.09, rel=0.05)


def test_ssim_agrees_with_scikit_image():
    _, volume = turned_volume()
    truth = Truth.of(volume, brain_only=False)
    noisy = noisy_copy(truth, 9, "one/T1")
    mask = np.zeros(truth.mask.shape, dtype=bool)
    mask[8:-8, 8:-8] = True  # away from the border, which scikit-image repeats in another way
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    maps = [
        reference(noisy[..., k], truth.image[..., k], full=True, **options)[1] for k in range(mask.shape[2])
    ]
    expected = np.stack(maps, axis=-1)[mask].mean()
    assert structural_similarity(noisy, truth.image, mask, slice_wise=True) == pytest.approx(
        expected, abs=1e-4
    )
