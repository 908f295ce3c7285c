import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.baselines import biharmonic, jpeg2000, pca, threshold
from benchmarks.baselines.upsampling import upsample
from medgan_core.metrics import peak_signal_to_noise


def smooth(seed, *shape, sigma=2.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def images(seed, count, *shape):
    return np.random.default_rng(seed).normal(1.0, 0.5, (count, *shape)).astype(np.float32)


@pytest.mark.parametrize(("count", "shape"), [(8, (1, 6, 5, 4)), (60, (1, 5, 4))], ids=["few", "many"])
def test_all_components_give_the_training_images_back(count, shape):
    found = images(0, count, *shape)
    model = pca.fit(found)
    assert model.rank == min(count - 1, np.prod(shape))
    np.testing.assert_allclose(model.components @ model.components.T, np.eye(model.rank), atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(found), found, atol=1e-5)


@pytest.mark.parametrize("count", [8, 60])
def test_both_gram_matrices_agree_with_a_singular_value_decomposition(count):
    found = images(1, count, 1, 5, 4)
    flat = found.reshape(count, -1).astype(np.float64)
    _, singular, rows = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    model = pca.fit(found, rank=3)
    np.testing.assert_allclose(model.variances, singular[:3] ** 2 / (count - 1), rtol=1e-6)
    np.testing.assert_allclose(np.abs((model.components * rows[:3]).sum(axis=1)), 1.0, atol=1e-5)


def test_the_error_left_is_the_variance_left_and_falls():
    found = images(2, 20, 1, 6, 5)
    model = pca.fit(found)
    errors = [((model.reconstruct(found, coefficients=k) - found) ** 2).sum() for k in range(20)]
    left = [model.variances[k:].sum() * 19 for k in range(20)]
    np.testing.assert_allclose(errors[:19], left[:19], rtol=1e-3)
    assert errors[19] < 1e-6 * errors[0]


def test_samples_have_the_mean_and_covariance_of_the_training_images():
    mixing = np.random.default_rng(3).normal(size=(12, 12))
    found = (np.random.default_rng(4).normal(size=(100, 12)) @ mixing + 2).astype(np.float32)
    model = pca.fit(found)
    drawn = model.sample(40_000, seed=0)
    covariance = np.cov(found, rowvar=False)
    error = np.linalg.norm(np.cov(drawn, rowvar=False) - covariance) / np.linalg.norm(covariance)
    assert error < 0.03
    np.testing.assert_allclose(drawn.mean(axis=0), found.mean(axis=0), atol=0.1)
    np.testing.assert_array_equal(model.sample(3, seed=1), model.sample(3, seed=1))


def test_samples_of_few_images_lie_in_their_span():
    found = images(5, 6, 1, 8, 7)
    model = pca.fit(found)
    drawn = model.sample(10, seed=0)
    assert drawn.shape == (10, 1, 8, 7)
    np.testing.assert_allclose(model.reconstruct(drawn), drawn, atol=1e-5)
    flat = (drawn - found.mean(axis=0)).reshape(10, -1)
    assert np.linalg.matrix_rank(flat, tol=1e-3) == 5


def test_components_that_are_not_there_are_refused():
    model = pca.fit(images(6, 5, 1, 4, 4))
    with pytest.raises(ValueError, match="5 coefficients of a basis of rank 4"):
        model.sample(2, seed=0, coefficients=5)
    with pytest.raises(ValueError, match="all the same"):
        pca.fit(np.ones((4, 1, 3, 3), np.float32))
    with pytest.raises(ValueError, match="1 image"):
        pca.fit(np.ones((1, 1, 3, 3), np.float32))


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
@pytest.mark.parametrize("shape", [(35, 51), (64, 48), (7, 5), (1, 9)])
def test_lossless_streams_give_every_value_back(bits, dtype, shape):
    image = np.random.default_rng(7).integers(2**bits, size=shape).astype(dtype)
    back = jpeg2000.decode(jpeg2000.encode(image, bits_per_pixel=None))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


def test_the_rate_control_meets_its_target_and_more_bits_are_better():
    volume = smooth(8, 96, 80, 3)
    for bits in (8, 12):
        points = jpeg2000.rate_distortion(volume, (0.5, 1.0, 2.0), bits=bits)
        for point in points:
            assert point.bits_per_voxel == pytest.approx(point.target, rel=0.1)
            assert point.size * 8 == pytest.approx(point.bits_per_voxel * volume.size)
        assert points[0].psnr + 1 < points[1].psnr < points[2].psnr - 1


def test_lossless_coding_leaves_the_rounding_alone():
    volume = smooth(9, 40, 32, 2)
    (eight,) = jpeg2000.rate_distortion(volume, (None,), bits=8)
    (twelve,) = jpeg2000.rate_distortion(volume, (None,), bits=12)
    assert eight.psnr == pytest.approx(10 * np.log10(12 * 255**2), abs=0.2)
    assert twelve.psnr == pytest.approx(10 * np.log10(12 * 4095**2), abs=0.2)
    assert eight.target is None


def test_headers_are_counted_and_stated():
    volume = smooth(10, 24, 20, 6)
    (apart,) = jpeg2000.rate_distortion(volume, (1.0,))
    (together,) = jpeg2000.rate_distortion(volume, (1.0,), mosaic=True)
    stream = jpeg2000.encode(np.zeros((24, 20), np.uint8), bits_per_pixel=1.0)
    assert jpeg2000.header_size(stream) == stream.index(b"\xff\x93") + 2
    assert apart.header == 6 * jpeg2000.header_size(stream)
    assert together.header < apart.header / 5
    assert apart.payload_bits_per_voxel == pytest.approx(8 * (apart.size - apart.header) / volume.size)
    assert together.psnr > apart.psnr


def test_range_and_mask_are_kept_to():
    volume = 100 * smooth(11, 40, 40, 2) - 50
    (whole,) = jpeg2000.rate_distortion(volume, (None,), low=-50, high=50)
    assert whole.psnr == pytest.approx(10 * np.log10(12 * 255**2), abs=0.3)
    mask = volume > 0
    (cut,) = jpeg2000.rate_distortion(volume, (None,), low=-50, high=0, mask=~mask)
    assert cut.psnr > 50
    (lost,) = jpeg2000.rate_distortion(volume, (None,), low=-50, high=0, mask=mask)
    assert lost.psnr < 20


def test_jpeg2000_refuses_what_it_cannot_code():
    with pytest.raises(ValueError, match="uint8 or uint16"):
        jpeg2000.encode(np.zeros((8, 8), np.float32), bits_per_pixel=1.0)
    with pytest.raises(ValueError, match="above 0"):
        jpeg2000.encode(np.zeros((8, 8), np.uint8), bits_per_pixel=0.0)
    with pytest.raises(ValueError, match="no rounding"):
        jpeg2000.rate_distortion(np.zeros((8, 8, 2), np.float32), (1.0,), bits=7)
    with pytest.raises(ValueError, match="no JPEG 2000"):
        jpeg2000.header_size(b"\xff\xd8\xff")


@pytest.mark.parametrize("method", ["linear", "b-spline"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_ramp_is_continued_exactly_between_the_centres(method, factor):
    """Thick slices are means of thin ones, so a ramp has its value at the middle of each."""
    thin = (0.3 * np.arange(12.0 * factor) + 1)[None, None] * np.ones((3, 2, 1))
    thick = thin.reshape(3, 2, 12, factor).mean(axis=-1).astype(np.float32)
    back = upsample(thick, factor=factor, method=method)
    # A spline feels the flat end that it is given for a few slices.
    inner = slice(factor // 2, -(factor // 2)) if method == "linear" else slice(5 * factor, -5 * factor)
    np.testing.assert_allclose(back[..., inner], thin[..., inner], atol=1e-6 if method == "linear" else 2e-3)


def test_linear_is_that_of_torch():
    volume = smooth(12, 5, 4, 9)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(volume.reshape(1, 20, 9)), scale_factor=4, mode="linear", align_corners=False
    )
    found = upsample(volume, factor=4, method="linear")
    np.testing.assert_allclose(found.reshape(20, 36), expected[0].numpy(), atol=1e-6)


def test_a_spline_goes_through_the_slices_and_follows_a_wave_better_than_lines():
    places = (np.arange(60) + 0.5) / 3 - 0.5
    wave = np.sin(2 * np.pi * np.arange(20) / 6)[None, None].astype(np.float32)
    truth = np.sin(2 * np.pi * places / 6)
    spline, line = (upsample(wave, factor=3, method=m)[0, 0] for m in ("b-spline", "linear"))
    np.testing.assert_allclose(spline[1::3], wave[0, 0], atol=1e-6)
    inner = slice(18, -18)
    assert np.abs(spline - truth)[inner].max() < 0.1 * np.abs(line - truth)[inner].max()


@pytest.mark.parametrize("method", ["nearest", "linear", "b-spline"])
def test_the_axis_the_ends_and_the_trivial_cases(method):
    volume = smooth(13, 4, 6, 5)
    along = upsample(volume, factor=2, method=method, axis=0)
    assert along.shape == (8, 6, 5)
    np.testing.assert_allclose(
        along, np.moveaxis(upsample(np.moveaxis(volume, 0, -1), factor=2, method=method), -1, 0), atol=1e-6
    )
    np.testing.assert_allclose(along[0], volume[0], atol=1e-6)
    np.testing.assert_array_equal(upsample(volume, factor=1, method=method), volume)
    np.testing.assert_array_equal(
        upsample(volume[..., :1], factor=3, method=method), np.repeat(volume[..., :1], 3, axis=-1)
    )


def test_unknown_methods_and_factors_are_refused():
    for options in ({"factor": 0, "method": "linear"}, {"factor": 2, "method": "sinc"}):
        with pytest.raises(ValueError, match="no upsampling"):
            upsample(np.zeros((2, 2, 2), np.float32), **options)


def ramp(*shape):
    grid = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    return (1 + sum((a + 1) * 0.1 * g for a, g in enumerate(grid))).astype(np.float32)


@pytest.mark.parametrize("slice_wise", [True, False])
def test_biharmonic_repair_continues_a_ramp_exactly(slice_wise):
    image = ramp(16, 14, 9)
    missing = np.zeros(image.shape, dtype=bool)
    missing[5:10, 4:9, 3:6] = True
    damaged = np.where(missing, np.float32(99), image)
    repaired = biharmonic.repair(damaged, missing, slice_wise=slice_wise)
    np.testing.assert_allclose(repaired, image, atol=1e-4)
    np.testing.assert_array_equal(repaired[~missing], image[~missing])


def test_biharmonic_repair_beats_the_mean_of_a_smooth_volume():
    image = smooth(14, 24, 22, 10, sigma=3)
    missing = np.zeros(image.shape, dtype=bool)
    missing[8:14, 7:13, 4:7] = True
    mean = np.where(missing, image[~missing].mean(), image)
    for slice_wise in (True, False):
        repaired = biharmonic.repair(image, missing, slice_wise=slice_wise)
        assert peak_signal_to_noise(repaired, image, missing) > peak_signal_to_noise(mean, image, missing) + 6


def test_a_missing_slice_can_be_repaired_in_3d_alone():
    image = ramp(8, 9, 9)
    missing = np.zeros(image.shape, dtype=bool)
    missing[..., 4] = True
    repaired = biharmonic.repair(image, missing, slice_wise=False)
    # The stencil is cut at the border of the image, where it costs a little of the 0.3 from slice to slice.
    np.testing.assert_allclose(repaired, image, atol=0.03)
    with pytest.raises(ValueError, match="slice_wise=False"):
        biharmonic.repair(image, missing, slice_wise=True)


def test_nothing_missing_changes_nothing_and_nothing_known_is_refused():
    image = ramp(6, 5, 4)
    nothing = np.zeros(image.shape, dtype=bool)
    np.testing.assert_array_equal(biharmonic.repair(image, nothing, slice_wise=True), image)
    with pytest.raises(ValueError, match="nothing is known"):
        biharmonic.repair(image, ~nothing, slice_wise=False)
    with pytest.raises(ValueError, match="one \\(i, j, k\\)"):
        biharmonic.repair(image, nothing[:-1], slice_wise=True)


def test_normal_intensity_counts_deviations_in_the_foreground_alone():
    rng = np.random.default_rng(15)
    patches = rng.normal(0.6, 0.05, (20, 1, 16, 16)).astype(np.float32)
    mask = np.ones(patches.shape, dtype=bool)
    mask[..., :3] = False
    patches[~mask] = 40.0
    normal = threshold.NormalIntensity.fit(patches, mask)
    assert normal.centre == pytest.approx(0.6, abs=0.005)
    assert normal.spread == pytest.approx(0.05, rel=0.05)
    found = normal.deviation(np.array([0.6 - 0.15, 0.6, 0.6 + 0.15], np.float32))
    np.testing.assert_allclose(found, [3, 0, 3], atol=0.3)


def test_the_linear_residual_shows_what_was_planted():
    model = pca.fit(np.stack([smooth(s, 1, 20, 18, sigma=(0, 4, 4)) for s in range(30)]))
    patch = model.sample(1, seed=0, coefficients=10)
    patch[0, 0, 7:10, 8:11] += 1.0
    residual = threshold.linear_residual(patch, model, coefficients=10)
    assert residual.shape == patch.shape
    inside = np.zeros(patch.shape, dtype=bool)
    inside[0, 0, 7:10, 8:11] = True
    assert residual[inside].min() > 3 * residual[~inside].mean()


def test_patch_scores_are_means_of_the_highest_share_in_the_foreground():
    maps = np.arange(200, dtype=np.float32).reshape(2, 1, 10, 10)
    mask = np.ones(maps.shape, dtype=bool)
    mask[0, 0, 9] = False
    mask[1] = False
    found = threshold.patch_scores(threshold.intensity(maps), mask, share=0.1)
    np.testing.assert_allclose(found, [np.arange(81, 90).mean(), 0.0])
    assert threshold.patch_scores(maps, mask, share=1e-6)[0] == 89.0
    with pytest.raises(ValueError, match="share 0"):
        threshold.patch_scores(maps, mask, share=0)


def test_what_normal_is_cannot_be_learned_from_nothing():
    with pytest.raises(ValueError, match="no voxels"):
        threshold.NormalIntensity.fit(np.zeros((2, 4, 4)), np.zeros((2, 4, 4), dtype=bool))
    with pytest.raises(ValueError, match="do not differ"):
        threshold.NormalIntensity.fit(np.ones((2, 4, 4)), np.ones((2, 4, 4), dtype=bool))
