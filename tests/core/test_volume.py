"""Geometry and Volume refuse what has no place in a patient, and keep what has."""

import numpy as np
import pytest

from medgan_core.errors import InputError
from medgan_core.volume import Geometry, Volume

AFFINE = np.array([[0, -2.0, 0, 5], [1.0, 0, 0, -3], [0, 0, 4.0, 2], [0, 0, 0, 1]])


def test_spacing_and_extent_follow_the_axes():
    geometry = Geometry((10, 20, 30), AFFINE)
    assert geometry.spacing == pytest.approx((1.0, 2.0, 4.0))
    assert geometry.extent == pytest.approx((10.0, 40.0, 120.0))


def test_corners_are_voxel_centres_in_ras():
    corners = Geometry((2, 3, 4), AFFINE).corners()
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners[0], AFFINE[:3, 3])
    np.testing.assert_allclose(corners[-1], AFFINE[:3, :3] @ (1, 2, 3) + AFFINE[:3, 3])


def test_close_to_measures_corners():
    moved = AFFINE.copy()
    moved[0, 3] += 0.01
    near = Geometry((2, 3, 4), moved)
    assert not Geometry((2, 3, 4), AFFINE).close_to(near)
    assert Geometry((2, 3, 4), AFFINE).close_to(near, tolerance_mm=0.02)
    assert not Geometry((2, 3, 5), AFFINE).close_to(Geometry((2, 3, 4), AFFINE))


def test_left_handed_is_a_grid():
    assert Geometry((2, 2, 2), np.diag([-1.0, 1, 1, 1])).spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 0), (2, -1, 2), (1, 2, 3, 4)])
def test_bad_shapes_are_refused(shape):
    with pytest.raises(InputError, match="3D"):
        Geometry(shape, np.eye(4))


def singular() -> np.ndarray:
    return np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.eye(3), np.diag([1.0, 1, 0, 1]), singular(), np.full((4, 4), np.nan)],
    ids=["zero", "3x3", "flat", "dependent", "nan"],
)
def test_bad_affines_are_refused(affine):
    with pytest.raises(InputError, match="affine"):
        Geometry((2, 2, 2), affine)


def test_affine_cannot_be_changed_from_outside():
    given = np.eye(4)
    geometry = Geometry((2, 2, 2), given)
    given[0, 3] = 9
    assert geometry.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 3] = 1


def test_three_axes_get_a_channel():
    assert Volume(np.zeros((2, 3, 4)), Geometry((2, 3, 4), np.eye(4))).data.shape == (1, 2, 3, 4)


@pytest.mark.parametrize("data", [np.zeros((4, 3, 2)), np.zeros((2, 3)), np.zeros((1, 1, 2, 3, 4))])
def test_data_must_fit_the_grid(data):
    with pytest.raises(InputError, match="fit"):
        Volume(data, Geometry((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("dtype", ["complex64", "O", "U1", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_only_real_numbers(dtype):
    with pytest.raises(InputError, match="real numbers"):
        Volume(np.zeros((2, 3, 4), dtype), Geometry((2, 3, 4), np.eye(4)))


def test_with_data_keeps_the_place_and_drops_the_notes():
    volume = Volume(np.zeros((2, 3, 4)), Geometry((2, 3, 4), AFFINE), ("said",))
    other = volume.with_data(np.ones((2, 3, 4)))
    assert other.geometry is volume.geometry
    assert other.notes == ()
