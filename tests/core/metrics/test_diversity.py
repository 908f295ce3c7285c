import itertools

import numpy as np
import pytest
from scipy import ndimage

from medgan_core.errors import InputError
from medgan_core.metrics import multi_scale_ssim
from medgan_core.metrics.diversity import mean_pairwise_similarity


def images(count, *spatial, channels=1, seed=0):
    noise = np.random.default_rng(seed).normal(size=(count, channels, *spatial))
    smooth = ndimage.gaussian_filter(noise, (0, 0, *(2 for _ in spatial)))
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


@pytest.mark.parametrize("spatial", [(30, 26), (14, 16, 12)])
def test_all_pairs_are_compared_once(spatial):
    found = images(4, *spatial)
    volumes = found[:, 0] if len(spatial) == 3 else found[:, 0, :, :, None]
    everywhere = np.ones(volumes.shape[1:], dtype=bool)
    values = [
        multi_scale_ssim(a, b, everywhere, slice_wise=len(spatial) == 2)
        for a, b in itertools.combinations(volumes, 2)
    ]
    result = mean_pairwise_similarity(found, seed=0)
    assert result.pairs == 6
    assert result.images == 4
    assert result.mean == pytest.approx(np.mean(values), rel=1e-6)
    assert result.spread == pytest.approx(np.std(values, ddof=1), rel=1e-6)


def test_a_collapsed_set_has_similarity_one():
    one = np.repeat(images(1, 24, 24), 5, axis=0)
    assert mean_pairwise_similarity(one, seed=0).mean == pytest.approx(1.0, abs=1e-6)


def test_the_nearer_to_collapse_the_higher():
    varied = images(6, 24, 24)
    mean = varied.mean(axis=0, keepdims=True)
    values = [mean_pairwise_similarity(mean + s * (varied - mean), seed=0).mean for s in (1.0, 0.5, 0.1)]
    assert values[0] < values[1] < values[2] < 1


def test_many_images_are_sampled_by_pairs_without_bias():
    half_and_half = np.concatenate([np.repeat(images(1, 12, 12, seed=s), 40, axis=0) for s in (1, 2)])
    apart = mean_pairwise_similarity(half_and_half[[0, 79]], seed=0).mean
    share = 2 * 40 * 39 / (80 * 79)
    found = mean_pairwise_similarity(half_and_half, seed=3, pairs=300)
    assert found.pairs == 300
    expected = share + (1 - share) * apart
    assert found.mean == pytest.approx(expected, abs=4 * found.spread / np.sqrt(300))
    assert found == mean_pairwise_similarity(half_and_half, seed=3, pairs=300)


def test_an_image_is_never_compared_with_itself():
    two = images(2, 12, 12)
    drawn = mean_pairwise_similarity(np.concatenate([two, two + 1e-7]), seed=0, pairs=1)
    assert drawn.pairs == 1
    assert mean_pairwise_similarity(two, seed=0, pairs=0 + 1).mean < 0.9


def test_channels_are_averaged():
    two = images(3, 20, 20, channels=2)
    parts = [mean_pairwise_similarity(two[:, c : c + 1], seed=0).mean for c in range(2)]
    assert mean_pairwise_similarity(two, seed=0).mean == pytest.approx(np.mean(parts), rel=1e-6)


def test_one_image_nan_and_wrong_axes_are_refused():
    with pytest.raises(InputError, match="1 images"):
        mean_pairwise_similarity(images(1, 12, 12), seed=0)
    with pytest.raises(InputError, match="not finite"):
        mean_pairwise_similarity(np.full((2, 1, 12, 12), np.nan), seed=0)
    with pytest.raises(ValueError, match="n, c, i, j"):
        mean_pairwise_similarity(np.zeros((3, 12, 12)), seed=0)
