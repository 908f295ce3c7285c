from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError, InputError, UnsuitableError
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_pairs

MODEL = "hippocampus-synthesize"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("pairs")
    toy_pairs(folder)
    return Session("cpu", registry=Registry([folder]))


def label_map(shape: tuple[int, int, int] = (40, 52, 30), spacing: float = 1.0) -> Volume:
    """An ellipsoid in two parts away from the middle, on a grid that runs to the left and has an offset."""
    affine = np.diag([-spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (31.0, -17.0, 5.0)
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    radius = sum(((a - 0.45 * n) / (0.25 * n)) ** 2 for a, n in zip(axes, shape, strict=True))
    data = (radius < 1) * np.where(axes[1] > 0.45 * shape[1], 1, 2)
    return Volume(data.astype(np.int16), Geometry(shape, affine))


def crop(seed: int = 0) -> Volume:
    labels = label_map()
    noise = np.random.default_rng(seed).normal(size=labels.geometry.shape)
    return Volume((300 + 400 * (labels.data[0] > 0) + 40 * noise).astype(np.float32), labels.geometry)


def test_pairs_come_from_nothing_on_the_cards_grid(pairs: Session) -> None:
    outcome = run(pairs, MODEL, {}, RunOptions(seed=3, count=3))
    grid = pairs.registry.card(MODEL).grid
    assert grid is not None
    assert set(outcome.volumes) == {f"{key}-00{n}" for key in ("image", "segmentation") for n in (1, 2, 3)}
    image, segmentation = outcome.volumes["image-001"], outcome.volumes["segmentation-001"]
    assert image.geometry.shape == segmentation.geometry.shape == grid.shape
    np.testing.assert_allclose(image.geometry.corners().mean(axis=0), 0.0, atol=1e-9)
    assert segmentation.data.dtype == np.uint8
    assert set(np.unique(segmentation.data)) <= {0, 1, 2}
    assert 0 <= image.data.min() < image.data.max() <= 1000


def test_a_sample_depends_on_seed_and_number_alone(pairs: Session) -> None:
    five = run(pairs, MODEL, {}, RunOptions(seed=3, count=5)).volumes
    three = run(pairs, MODEL, {}, RunOptions(seed=3, count=3)).volumes
    other = run(pairs, MODEL, {}, RunOptions(seed=4, count=3)).volumes
    np.testing.assert_array_equal(five["image-003"].data, three["image-003"].data)
    assert (five["image-003"].data != five["image-002"].data).any()
    assert (three["image-003"].data != other["image-003"].data).any()


def test_without_variety_all_samples_are_the_mean_one(pairs: Session) -> None:
    options = RunOptions(count=2, settings={"style": 0, "shape": 0})
    volumes = run(pairs, MODEL, {}, options).volumes
    for key in ("image", "segmentation"):
        np.testing.assert_array_equal(volumes[f"{key}-001"].data, volumes[f"{key}-002"].data)


def test_a_given_map_is_the_segmentation_and_the_image_lies_on_its_grid(pairs: Session) -> None:
    labels = label_map()
    volumes = run(pairs, MODEL, {"labels": labels}).volumes
    assert volumes["segmentation"].geometry is labels.geometry
    np.testing.assert_array_equal(volumes["segmentation"].data, labels.data)
    assert volumes["image"].geometry is labels.geometry
    assert (volumes["image"].data[0][labels.data[0] > 0] > 0).all()


def test_a_map_is_read_where_it_lies(pairs: Session) -> None:
    """The same map on a larger grid, elsewhere in the patient, gives the same image."""
    labels = label_map()
    inner = run(pairs, MODEL, {"labels": labels}).volumes["image"].data[0]
    data = np.zeros((60, 70, 50), dtype=np.int16)
    data[7:47, 9:61, 11:41] = labels.data[0]
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (80.0, 12.0, -40.0)
    large = Volume(data, Geometry((60, 70, 50), affine))
    outer = run(pairs, MODEL, {"labels": large}).volumes["image"].data[0, 7:47, 9:61, 11:41]
    inside = labels.data[0] > 0
    np.testing.assert_allclose(outer[inside], inner[inside], rtol=1e-4)


def stored(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    """The same voxels at the same places, along other axes of the file."""
    affine = volume.geometry.affine.copy()
    affine[:3, :3] = affine[:3, list(order)]
    data = volume.data[0].transpose(order)
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
        affine[:3, axis] *= -1
    data = np.flip(data, flips)
    return Volume(np.ascontiguousarray(data), Geometry(data.shape, affine))


@pytest.mark.parametrize("spacing", [1.0, 0.8, 2.0])
def test_the_directions_a_map_is_stored_along_do_not_matter(pairs: Session, spacing: float) -> None:
    """Ties between voxels, of its middle and of coarser voxels, are broken in the patient."""
    i, j, k = (round(side / spacing) for side in (44, 61, 37))
    labels = label_map((i, j, k), spacing)
    expected = run(pairs, MODEL, {"labels": labels}).volumes["image"].data[0]
    for flips in product((False, True), repeat=3):
        turned = tuple(axis for axis, flip in enumerate(flips) if flip)
        for order in ((0, 1, 2), (2, 0, 1)):
            image = run(pairs, MODEL, {"labels": stored(labels, order, turned)}).volumes["image"].data[0]
            back = np.flip(image, turned).transpose(np.argsort(order))
            np.testing.assert_allclose(back, expected, atol=0.5)


def test_what_was_not_computed_is_told(pairs: Session) -> None:
    name = "Beyond the computed field of view, where the image is 0"
    small, large = label_map((20, 30, 20)), label_map((60, 70, 60))
    rows = {row.name: row for row in run(pairs, MODEL, {"labels": small}).report.rows}
    assert name not in rows
    data = large.data[0].copy()
    data[:, :, 30:] = 0
    outcome = run(pairs, MODEL, {"labels": large.with_data(data)})
    row = next(row for row in outcome.report.rows if row.name == name)
    share = 100 * float((outcome.volumes["image"].data == 0).mean())
    assert row.verdict == "caution"
    assert row.value == pytest.approx(share, abs=1.0)
    assert share > 10


def test_cancel_is_asked_for_between_the_layers(pairs: Session) -> None:
    seen: list[str] = []
    asked = iter(range(1000))
    with pytest.raises(CancelledError):
        run(
            pairs,
            MODEL,
            {},
            progress=lambda step: seen.append(step.stage),
            cancel=lambda: seen[-1:] == ["network"] and next(asked) > 4,
        )
    assert 5 <= seen.count("network") <= 7


def test_a_fine_map_keeps_its_grid(pairs: Session) -> None:
    fine = label_map((80, 104, 60), 0.5)
    volumes = run(pairs, MODEL, {"labels": fine}).volumes
    assert volumes["image"].data.shape == (1, 80, 104, 60)
    assert (volumes["image"].data[0][fine.data[0] > 0] > 0).all()


def test_the_reference_gives_the_style_wherever_it_lies(pairs: Session) -> None:
    labels, reference = label_map(), crop()
    far = reference.geometry.affine.copy()
    far[:3, 3] += 500.0
    moved = Volume(2.5 * reference.data, Geometry(reference.geometry.shape, far))
    exact = RunOptions(settings={"style": 0})
    images = [
        run(pairs, MODEL, {"labels": labels, **given}, exact).volumes["image"].data
        for given in ({}, {"reference": reference}, {"reference": moved})
    ]
    assert np.abs(images[1] - images[0]).max() > 1.0
    np.testing.assert_allclose(images[2], images[1], atol=0.5)
    alone = run(pairs, MODEL, {"reference": reference}, exact)
    assert {row.name: row.value for row in alone.report.rows}["Style"] == "of the reference"


def test_what_the_model_does_not_know_is_refused(pairs: Session) -> None:
    labels = label_map()
    with pytest.raises(InputError, match="does not know"):
        run(pairs, MODEL, {"labels": labels.with_data(labels.data + (labels.data == 2))})
    with pytest.raises(UnsuitableError, match="labels: voxel size"):
        run(pairs, MODEL, {"labels": label_map((80, 52, 30), 5.0)})
    anyhow = RunOptions(settings={"allow_unsuitable": True})
    with pytest.raises(InputError, match="too large"):
        run(pairs, MODEL, {"labels": label_map((80, 52, 30), 5.0)}, anyhow)
    with pytest.raises(UnsuitableError):
        run(pairs, MODEL, {"reference": Volume(crop().data, Geometry((40, 52, 30), np.diag([4.0, 4, 4, 1])))})
