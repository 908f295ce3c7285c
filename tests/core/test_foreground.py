import numpy as np
import pytest

from medgan_core.foreground import foreground

SHAPE = (48, 48, 10)


def head(noise, rim):
    """A bright ball with a dark hole, in air of that noise, with a rim of exact zeros of that width."""
    rng = np.random.default_rng(0)
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(i**2 + j**2 + 0.2 * k**2)
    ball = radius < 0.6
    image = np.where(ball & (radius > 0.2), 500.0, 0.0) + np.where(ball, 100.0, 0.0)
    image += noise * np.abs(rng.normal(size=SHAPE))
    image[~ball] += 1e-3 if noise else 0.0
    if rim:
        image[:rim] = image[-rim:] = image[:, :rim] = image[:, -rim:] = 0
    return image.astype(np.float32), ball


def test_air_is_left_out_and_holes_are_filled():
    image, ball = head(noise=10.0, rim=0)
    assert (foreground(image) == ball).mean() > 0.99


def test_a_rim_of_zeros_around_a_whole_head_does_not_make_its_air_foreground():
    image, ball = head(noise=10.0, rim=5)
    assert (image == 0).mean() > 0.3
    assert (foreground(image) == ball).mean() > 0.99


def test_dark_tissue_of_a_stripped_brain_stays():
    image, ball = head(noise=0.0, rim=0)
    image[ball] = np.linspace(80, 600, int(ball.sum()))
    np.testing.assert_array_equal(foreground(image), ball)


@pytest.mark.parametrize("stripped", [True, False])
def test_who_knows_better_is_believed(stripped):
    image, ball = head(noise=10.0, rim=5)
    mask = foreground(image, stripped=stripped)
    assert (mask.sum() > 1.5 * ball.sum()) == stripped


def test_a_constant_image_has_none():
    assert not foreground(np.full(SHAPE, 7.0)).any()
