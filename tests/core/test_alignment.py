"""A phantom moved by a known motion is found where it was moved to; another contrast alone moves nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medgan_core import alignment
from medgan_core.volume import Geometry, Volume

CENTRE = np.array([5.0, -12.0, 20.0])


def head(points: np.ndarray) -> np.ndarray:
    """Intensity at RAS points (..., 3): skull, a brain of two folded tissues, ventricles, a nose."""
    centred = points - CENTRE
    x, y, z = np.moveaxis(centred, -1, 0)
    radius = np.sqrt((x / 65) ** 2 + (y / 82) ** 2 + (np.where(z > 0, z / 58, z / 70)) ** 2)
    out = np.where(radius < 1, 300.0, 0.0)
    out[(x / 12) ** 2 + ((y - 85) / 20) ** 2 + ((z + 15) / 25) ** 2 < 1] = 300.0
    rng = np.random.default_rng(3)
    waves = rng.normal(size=(12, 3)) * (2 * np.pi / rng.uniform(40, 120, size=(12, 1)))
    folds = sum(
        np.sin(centred @ wave + phase) for wave, phase in zip(waves, rng.uniform(0, 6, 12), strict=True)
    )
    out[radius < 0.88] = 500.0
    out[(radius < 0.82) & (folds > 0)] = 800.0
    out[((x - 9) / 8) ** 2 + ((y + 5) / 25) ** 2 + (z / 14) ** 2 < 1] = 120.0
    out[((x + 11) / 7) ** 2 + ((y + 2) / 22) ** 2 + (z / 16) ** 2 < 1] = 120.0
    return out


def phantom(affine=None, shape=(76, 92, 70), motion=None) -> Volume:
    """The head sampled on a grid; `motion` (4x4) moves it first."""
    if affine is None:
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = CENTRE - np.array(shape) + 1
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    if motion is not None:
        back = np.linalg.inv(motion)
        points = points @ back[:3, :3].T + back[:3, 3]
    data = head(points)
    data += np.random.default_rng(0).normal(0, 10, size=shape) * (data > 0)
    return Volume(data.astype(np.float32), Geometry(shape, affine))


def rigid(shift, degrees) -> np.ndarray:
    """Rotation about the phantom's centre, then a shift, 4x4 RAS mm."""
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    out[:3, 3] = CENTRE + shift - out[:3, :3] @ CENTRE
    return out


MOTIONS = [
    ((4.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 8.0)),
    ((8.0, -6.0, 5.0), (3.0, -4.0, 6.0)),
    ((20.0, 15.0, -12.0), (0.0, 10.0, 0.0)),
]


@pytest.mark.parametrize(("shift", "degrees"), MOTIONS)
def test_known_motions_are_recovered(shift, degrees):
    motion = rigid(shift, degrees)
    found = alignment.check(phantom(), phantom(motion=motion))
    assert not found.aligned
    assert found.translation_mm == pytest.approx(np.linalg.norm(shift), abs=1.0)
    assert found.rotation_deg == pytest.approx(
        np.degrees(Rotation.from_euler("xyz", degrees, degrees=True).magnitude()), abs=1.0
    )
    left = (found.transform @ motion)[:3]
    corners = phantom().geometry.corners()
    apart = np.linalg.norm(corners @ left[:, :3].T + left[:, 3] - corners, axis=1)
    assert apart.mean() < 1.0, "the offered alignment undoes the motion"


@pytest.mark.parametrize(
    "contrast",
    [lambda d: d, lambda d: np.where(d > 0, 1000 - d, 0), lambda d: 1000 - d, lambda d: np.abs(d - 500)],
    ids=["same", "inverted inside", "inverted", "folded"],
)
def test_another_contrast_is_not_a_motion(contrast):
    volume = phantom()
    found = alignment.check(volume, volume.with_data(contrast(volume.data)))
    assert found.aligned
    assert found.displacement_mm < 1.0


def test_another_grid_is_not_a_motion():
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", 15, degrees=True).as_matrix() * (1.5, 1.5, 5.0)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ (np.array([100, 120, 32]) / 2)
    found = alignment.check(phantom(), phantom(affine, (100, 120, 32)))
    assert found.assessed
    assert found.aligned


def test_the_same_inputs_give_the_same_answer():
    motion = rigid((8, -6, 5), (3, -4, 6))
    first, second = (alignment.check(phantom(), phantom(motion=motion)) for _ in range(2))
    np.testing.assert_array_equal(first.transform, second.transform)


def test_volumes_that_do_not_overlap_are_found():
    motion = rigid((400, 0, 0), (0, 0, 0))
    moved = phantom(motion @ phantom().geometry.affine, motion=motion)
    found = alignment.check(phantom(), moved)
    assert found.translation_mm == pytest.approx(400, abs=3)
    assert found.row("T2", "T1").verdict == "fail"


@pytest.mark.parametrize("shape", [(76, 92, 1), (4, 4, 4)])
def test_too_little_image_is_said_and_not_guessed(shape):
    small = phantom(phantom().geometry.affine, shape)
    found = alignment.check(small, small)
    assert not found.assessed
    assert found.row("T2", "T1").verdict == "not assessed"
    constant = phantom().with_data(np.ones((76, 92, 70), np.float32))
    assert not alignment.check(constant, phantom()).assessed
    assert not alignment.check(phantom(), constant).assessed


def test_rows_say_by_how_much_and_what_to_do():
    found = alignment.check(phantom(), phantom(motion=rigid((6, 0, 0), (0, 0, 0))))
    offered, applied = found.row("T2", "T1"), found.row("T2", "T1", applied=True)
    assert offered.verdict == applied.verdict == "caution"
    assert "align=true" in offered.name
    assert "applied" in applied.name
    assert offered.value == pytest.approx(6, abs=1)
    assert "off by" in found.residual
    assert alignment.check(phantom(), phantom()).row("T2", "T1").verdict == "pass"


@pytest.mark.parametrize("order", [0, 1, 3])
def test_resampling_onto_the_same_grid_changes_nothing(order):
    volume = phantom(shape=(12, 13, 14), affine=np.diag([10.0, 10, 10, 1]))
    found = alignment.resample(volume, volume.geometry, order=order)
    np.testing.assert_allclose(found.data, volume.data, atol=1e-3)
    assert found.geometry is volume.geometry


def test_resampling_follows_the_affines():
    """A linear ramp in RAS is the same ramp on any grid inside of it."""
    source = Geometry((30, 30, 30), np.diag([2.0, 2.0, 2.0, 1.0]))
    ramp = np.array([1.0, 2.0, -3.0])

    def values(geometry: Geometry) -> np.ndarray:
        index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
        return (index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]) @ ramp

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix() * (-0.7, 0.9, 1.1)
    affine[:3, 3] = (32.0, 20.0, 20.0)
    target = Geometry((8, 9, 10), affine)
    found = alignment.resample(Volume(values(source), source), target)
    assert found.geometry is target
    assert found.data.dtype == np.float32
    np.testing.assert_allclose(found.data[0], values(target), atol=1e-2)


def test_a_transform_moves_the_volume():
    volume = phantom()
    motion = rigid((6, -4, 2), (0, 0, 10))
    found = alignment.resample(volume, volume.geometry, transform=motion)
    wanted = phantom(motion=motion)
    inside = (slice(None), *[slice(8, -8)] * 3)
    error = np.abs(found.data[inside] - wanted.data[inside])
    still = np.abs(volume.data[inside] - wanted.data[inside])
    assert error.mean() < 0.3 * still.mean()


def test_nearest_keeps_labels_and_their_type():
    labels = Volume(np.arange(64, dtype=np.int16).reshape(4, 4, 4), Geometry((4, 4, 4), np.eye(4)))
    fine = Geometry((8, 8, 8), np.diag([0.5, 0.5, 0.5, 1.0]))
    found = alignment.resample(labels, fine, order=0)
    assert found.data.dtype == np.int16
    assert set(np.unique(found.data)) <= set(range(64))


def test_thin_slices_are_averaged_into_thick_ones():
    """Alternating slices would alias to one of the two values; their mean is right."""
    data = np.zeros((6, 6, 60), np.float32)
    data[:, :, ::2] = 100.0
    thick = np.diag([1.0, 1.0, 6.0, 1.0])
    thick[2, 3] = 3.0
    found = alignment.resample(Volume(data, Geometry((6, 6, 60), np.eye(4))), Geometry((6, 6, 9), thick))
    np.testing.assert_allclose(found.data[:, :, :, 1:-1], 50.0, atol=3.0)


def test_outside_is_filled():
    volume = phantom(shape=(8, 8, 8), affine=np.eye(4))
    away = np.eye(4)
    away[:3, 3] = 1000
    assert (alignment.resample(volume, Geometry((3, 3, 3), away), outside=-1000).data == -1000).all()
