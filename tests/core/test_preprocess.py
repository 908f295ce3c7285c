from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from medgan_core.foreground import foreground, otsu, percentile_scale
from medgan_core.preprocess import Preprocess, forward, inverse, resize_slices, slice_axes
from medgan_core.volume import Geometry, Volume


def _volume(affine: np.ndarray, shape: tuple[int, int, int] = (21, 18, 9)) -> Volume:
    rng = np.random.default_rng(0)
    data = np.zeros(shape, dtype=np.float32)
    data[4:17, 3:15, 1:8] = rng.uniform(100, 900, (13, 12, 7))
    return Volume(data, Geometry(shape, affine))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_identity_network_returns_the_identical_volume(
    order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) * np.array(signs) * (1.0, 1.1, 5.0))[:, order]
    volume = _volume(affine)
    settings = Preprocess()
    array, placement = forward(settings, [volume])
    back = inverse(settings, array, placement)
    np.testing.assert_allclose(back.data, volume.data, rtol=1e-6)
    assert back.geometry is volume.geometry


def test_axes_run_right_anterior_superior_whatever_the_source() -> None:
    affine = np.diag([-1.0, 1.0, 1.2, 1.0])
    assert slice_axes(Geometry((5, 5, 5), affine)) == ((0, 1, 2), (0,))
    sagittal = np.zeros((4, 4))
    sagittal[1, 0], sagittal[2, 1], sagittal[0, 2], sagittal[3, 3] = 1.0, 1.0, 4.0, 1.0
    assert slice_axes(Geometry((5, 5, 5), sagittal)) == ((0, 1, 2), ())
    coronal_in_plane_swapped = np.zeros((4, 4))
    coronal_in_plane_swapped[2, 0], coronal_in_plane_swapped[0, 1] = 1.0, 1.0
    coronal_in_plane_swapped[1, 2], coronal_in_plane_swapped[3, 3] = -6.0, 1.0
    assert slice_axes(Geometry((5, 5, 5), coronal_in_plane_swapped)) == ((1, 0, 2), (2,))


def test_two_orientations_of_one_scan_give_one_array() -> None:
    volume = _volume(np.diag([1.0, 1.0, 4.0, 1.0]))
    turned = np.flip(volume.data[0].transpose(2, 0, 1), (0, 2))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -4.0, 1.0, -1.0, 1.0
    other = Volume(turned, Geometry(turned.shape, affine))
    settings = Preprocess(crop_margin_mm=2.0)
    np.testing.assert_array_equal(forward(settings, [volume])[0], forward(settings, [other])[0])


def test_scale_makes_the_percentile_one_and_missing_inputs_are_zero() -> None:
    volume = _volume(np.eye(4))
    array, placement = forward(Preprocess(), [None, volume, None])
    mask = foreground(volume.data[0])
    assert percentile_scale(array[1], mask) == pytest.approx(1.0, rel=0.02)
    assert not array[0].any()
    assert not array[2].any()
    assert placement.scales[0] == 1.0


def test_the_box_holds_the_foreground_and_outside_is_left_as_told() -> None:
    volume = _volume(np.eye(4), (40, 41, 42))
    settings = Preprocess(crop_margin_mm=3.0, output="translated")
    array, placement = forward(settings, [volume])
    assert array[0].size < volume.data.size
    back = inverse(settings, np.ones_like(array), placement, outside=-5.0)
    assert (back.data[volume.data > 0] == 1000.0).all()
    assert back.data.min() == -5.0


def test_fine_slices_are_resampled_and_come_back_on_the_source_grid() -> None:
    i, j, _ = np.meshgrid(np.arange(64), np.arange(60), np.arange(5), indexing="ij")
    data = (500 + 200 * np.sin(i / 9) * np.cos(j / 8)).astype(np.float32)
    volume = Volume(data, Geometry(data.shape, np.diag([0.4, 0.4, 5.0, 1.0])))
    settings = Preprocess(in_plane_mm=(0.8, 1.3))
    array, placement = forward(settings, [volume])
    assert array.shape == (1, 32, 30, 5)
    assert placement.spacing == pytest.approx((0.8, 0.8, 5.0))
    back = inverse(settings, array, placement)
    assert back.geometry is volume.geometry
    assert np.abs(back.data[0] - data)[4:-4, 4:-4].max() < 4.0


def test_resizing_keeps_the_outer_edges() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None] + 0.5, (40, 8, 2))
    half = resize_slices(np.ascontiguousarray(ramp), (20, 8))
    np.testing.assert_allclose(
        half[3:-3, :, 0], (2 * np.arange(20) + 1)[3:-3, None] * np.ones((1, 8)), atol=1e-3
    )


def test_otsu_separates_two_levels_as_an_exhaustive_search_does() -> None:
    rng = np.random.default_rng(1)
    data = np.concatenate([rng.normal(100, 10, 4000), rng.normal(400, 40, 1500)]).astype(np.float32)
    threshold = otsu(data.reshape(10, 55, 10))

    def between(t: float) -> float:
        low, high = data[data <= t], data[data > t]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(np.linspace(120, 380, 131), key=between)
    assert between(threshold) >= 0.999 * between(float(best))


def test_foreground_fills_holes_and_drops_specks() -> None:
    data = np.zeros((30, 30, 30), dtype=np.float32)
    data += np.random.default_rng(2).uniform(1, 5, data.shape)
    data[5:25, 5:25, 5:25] = 100
    data[10:15, 10:15, 10:15] = 2
    data[1, 1, 1] = 100
    mask = foreground(data)
    expected = np.zeros_like(mask)
    expected[5:25, 5:25, 5:25] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_stripped_brain_keeps_its_dark_voxels() -> None:
    data = np.zeros((30, 30, 30), dtype=np.float32)
    data[5:25, 5:25, 5:25] = 1000
    data[5:15, 5:25, 5:25] = 1
    assert foreground(data).sum() == 8000


def test_a_constant_image_has_no_foreground() -> None:
    assert not foreground(np.full((8, 8, 8), 3.0)).any()
