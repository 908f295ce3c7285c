import numpy as np
import pytest
from scipy import ndimage

from medgan_core.metrics import multi_scale_ssim, structural_similarity
from medgan_core.metrics.ssim import SCALE_WEIGHTS, scale_count


def phantom(shape, seed=0):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 2.0)
    truth = (smooth - smooth.min()) / np.ptp(smooth)
    prediction = np.clip(truth + 0.08 * rng.normal(size=shape), 0, 1)
    return prediction.astype(np.float32), truth.astype(np.float32)


def naive_maps(x, y):
    """SSIM and its contrast factor by scipy, in double precision, at every voxel."""
    x, y = x.astype(np.float64), y.astype(np.float64)

    def blur(a):
        return ndimage.gaussian_filter(a, 1.5, radius=5, mode="nearest")

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    contrast = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
    return (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2) * contrast, contrast


def halve(a):
    a = a[tuple(slice(0, n // 2 * 2) for n in a.shape)].astype(np.float64)
    for axis in range(a.ndim):
        a = (np.take(a, range(0, a.shape[axis], 2), axis) + np.take(a, range(1, a.shape[axis], 2), axis)) / 2
    return a


@pytest.mark.parametrize("slice_wise", [True, False])
def test_identical_images_reach_one(slice_wise):
    _, truth = phantom((40, 36, 24))
    mask = truth > 0.3
    assert structural_similarity(truth, truth, mask, slice_wise=slice_wise) == pytest.approx(1.0, abs=1e-6)
    assert multi_scale_ssim(truth, truth, mask, slice_wise=slice_wise) == pytest.approx(1.0, abs=1e-6)


def test_constant_images_have_the_luminance_term_alone():
    shape = (30, 30, 16)
    mask = np.ones(shape, dtype=bool)
    x, y = np.full(shape, 0.4, np.float32), np.full(shape, 0.8, np.float32)
    expected = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    for slice_wise in (True, False):
        assert structural_similarity(x, y, mask, slice_wise=slice_wise) == pytest.approx(expected, abs=1e-3)


def test_3d_agrees_with_the_naive_one_up_to_the_border():
    prediction, truth = phantom((26, 22, 20))
    mask = truth > 0.4
    expected = naive_maps(prediction, truth)[0][mask].mean()
    assert structural_similarity(prediction, truth, mask, slice_wise=False) == pytest.approx(
        expected, abs=1e-4
    )


def test_multi_scale_agrees_with_the_naive_one():
    prediction, truth = phantom((50, 46, 3))
    mask = truth > 0.4
    weights = np.array(SCALE_WEIGHTS[:3]) / sum(SCALE_WEIGHTS[:3])
    slices = [
        (prediction[..., k], truth[..., k], mask[..., k].astype(np.float64)) for k in range(truth.shape[2])
    ]
    expected = 1.0
    for scale, weight in enumerate(weights):
        maps = [naive_maps(x, y)[0 if scale == 2 else 1] for x, y, _ in slices]
        total = sum((m * w).sum() for m, (_, _, w) in zip(maps, slices, strict=True))
        expected *= (total / sum(w.sum() for _, _, w in slices)) ** weight
        slices = [tuple(halve(a) for a in group) for group in slices]
    assert scale_count(truth.shape, slice_wise=True) == 3
    assert multi_scale_ssim(prediction, truth, mask, slice_wise=True) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("shape", "slice_wise", "scales"),
    [
        ((176, 200, 20), True, 5),
        ((175, 200, 20), True, 4),
        ((176, 200, 20), False, 1),
        ((96, 96, 96), False, 4),
        ((8, 8, 8), False, 1),
    ],
)
def test_as_many_scales_as_the_size_allows(shape, slice_wise, scales):
    assert scale_count(shape, slice_wise=slice_wise) == scales


def test_far_from_the_mask_nothing_counts():
    prediction, truth = phantom((40, 40, 4))
    mask = np.zeros(truth.shape, dtype=bool)
    mask[:15] = True
    changed = prediction.copy()
    changed[25:] = 0.0
    for slice_wise in (True, False):
        assert structural_similarity(changed, truth, mask, slice_wise=slice_wise) == pytest.approx(
            structural_similarity(prediction, truth, mask, slice_wise=slice_wise), abs=1e-6
        )


@pytest.mark.parametrize("figure", [structural_similarity, multi_scale_ssim])
def test_more_noise_is_less_similar(figure):
    rng = np.random.default_rng(3)
    _, truth = phantom((48, 48, 12))
    noise = rng.normal(size=truth.shape)
    mask = np.ones(truth.shape, dtype=bool)
    values = [figure(truth + s * noise, truth, mask, slice_wise=True) for s in (0.02, 0.1, 0.3)]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("figure", [structural_similarity, multi_scale_ssim])
def test_what_does_not_belong_together_is_refused(figure):
    prediction, truth = phantom((12, 12, 4))
    with pytest.raises(ValueError, match="shapes differ"):
        figure(prediction[1:], truth, truth > 0, slice_wise=True)
    with pytest.raises(ValueError, match="empty"):
        figure(prediction, truth, truth > 2, slice_wise=True)
