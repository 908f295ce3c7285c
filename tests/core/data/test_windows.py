from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from medgan_core.data.windows import Augmentation, Window


@pytest.mark.parametrize("dims", [2, 3])
def test_a_sampled_identity_equals_the_exact_cut(dims: int) -> None:
    image = torch.randn((2, *(9, 12, 7)[:dims]), generator=torch.Generator().manual_seed(0))
    size, centre = (8, 6, 5)[:dims], (3.5, 6.5, 3.0)[:dims]
    identity = tuple(map(tuple, np.eye(dims).tolist()))
    for mirror in (False, True):
        exact = Window(centre, size).cut(image, mirror=mirror)
        sampled = Window(centre, size, identity).cut(image, mirror=mirror)
        torch.testing.assert_close(exact, sampled, rtol=0, atol=1e-5)


def test_a_window_beyond_the_image_is_zero_or_its_mirror() -> None:
    image = torch.arange(1.0, 5.0)[None, :, None].expand(1, 4, 2)
    beyond = Window((0.5, 0.5), (6, 2))
    assert beyond.cut(image)[0, :, 0].tolist() == [0, 0, 1, 2, 3, 4]
    assert beyond.cut(image, mirror=True)[0, :, 0].tolist() == [2, 1, 1, 2, 3, 4]


def test_a_quarter_turn_and_a_mirror_are_exact() -> None:
    image = torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(0))
    middle = (3.5, 3.5)
    turned = Window(middle, (8, 8), ((0.0, -1.0), (1.0, 0.0))).cut(image)
    torch.testing.assert_close(turned, torch.rot90(image, -1, (1, 2)), rtol=0, atol=1e-5)
    mirrored = Window(middle, (8, 8), ((-1.0, 0.0), (0.0, 1.0))).cut(image)
    torch.testing.assert_close(mirrored, image.flip(1), rtol=0, atol=1e-5)


def test_labels_stay_labels_and_move_with_the_image() -> None:
    labels = torch.zeros((1, 24, 24), dtype=torch.int16)
    labels[0, 6:15, 9:20] = 5
    window = Augmentation().window((12.0, 12.0), (20, 20), np.random.default_rng(1))
    assert window.matrix is not None
    cut = window.cut_labels(labels)
    assert cut.dtype == torch.int64
    assert set(cut.unique().tolist()) == {0, 5}
    image = window.cut((labels == 5).float())
    assert (((image > 0.5) == (cut == 5)).float().mean()) > 0.98


def test_angles_and_sizes_are_as_drawn() -> None:
    settings = Augmentation(rotation_deg=10, scale=0.1, flip=0.5, shift=2)
    drawn = [settings.window((5.0, 6.0), (4, 4), np.random.default_rng(n)) for n in range(400)]
    matrices = np.array([w.matrix for w in drawn])
    sign = np.sign(np.linalg.det(matrices))
    assert 0.4 < (sign < 0).mean() < 0.6
    scale = np.sqrt(np.abs(np.linalg.det(matrices)))
    assert np.std(np.log(scale)) == pytest.approx(0.1, rel=0.15)
    angle = np.degrees(np.arctan2(matrices[:, 0, 1], matrices[:, 1, 1]))
    assert np.std(angle) == pytest.approx(10, rel=0.15)
    shift = np.array([w.centre for w in drawn]) - (5.0, 6.0)
    assert np.abs(shift).max() <= 2


def test_intensity_follows_its_formula() -> None:
    image = torch.rand((1, 5, 5), generator=torch.Generator().manual_seed(0)) + 0.1
    out = Augmentation(gain=0.1, gamma=0.2).intensity(image, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    gain, gamma = math.exp(rng.normal(0, 0.1)), math.exp(rng.normal(0, 0.2))
    torch.testing.assert_close(out, gain * image**gamma)
