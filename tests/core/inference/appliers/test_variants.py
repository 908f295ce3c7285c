from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from medgan_core.engine import Outcome, RunOptions, Session, run
from medgan_core.errors import CancelledError
from medgan_core.volume import Geometry, Volume

MODEL = "mr-variants"
OFF: dict[str, Any] = dict.fromkeys(
    ("deformation", "scanner", "bias", "noise", "motion", "slice_mm", "pixel_mm"), 0.0
)


@pytest.fixture(scope="module")
def shipped() -> Session:
    return Session("cpu")


def varied(session: Session, volume: Volume, labels: Volume | None = None, **settings: Any) -> Outcome:
    inputs = {"image": volume} | ({} if labels is None else {"labels": labels})
    count, seed = settings.pop("count", 1), settings.pop("seed", 0)
    return run(session, MODEL, inputs, RunOptions(seed=seed, count=count, settings={**OFF, **settings}))


def shells(volume: Volume) -> Volume:
    """Three labels, each with a range of values of its own."""
    return volume.with_data(np.digitize(volume.data, (1.0, 250.0, 400.0)).astype(np.uint8) * 7)


def test_with_every_effect_off_the_volume_stays(shipped: Session, oblique_head: Volume) -> None:
    outcome = varied(shipped, oblique_head, shells(oblique_head))
    assert outcome.volumes["image"].geometry is oblique_head.geometry
    np.testing.assert_array_equal(outcome.volumes["image"].data, oblique_head.data)
    np.testing.assert_array_equal(outcome.volumes["segmentation"].data, shells(oblique_head).data)
    assert outcome.report.rows[-1 - len(shipped.registry.card(MODEL).limits)].value == "unchanged"


def test_negative_voxels_stay_where_nothing_changes_and_are_told_elsewhere(
    shipped: Session, oblique_head: Volume
) -> None:
    scored = oblique_head.with_data((oblique_head.data - oblique_head.data.mean()) / oblique_head.data.std())
    name = "Negative voxels, set to 0"
    same = varied(shipped, scored, count=2)
    np.testing.assert_array_equal(same.volumes["image-002"].data, scored.data)
    assert name not in {row.name for row in same.report.rows}
    outcome = varied(shipped, scored, noise=1.0)
    row = next(row for row in outcome.report.rows if row.name == name)
    assert row.value == pytest.approx(100 * float((scored.data < 0).mean()), rel=0.01)
    assert row.verdict == "caution"
    assert outcome.volumes["image"].data.min() >= 0
    assert name not in {row.name for row in varied(shipped, oblique_head, noise=1.0).report.rows}


@pytest.mark.parametrize(
    "settings",
    [
        {"deformation": 5.0},
        {"scanner": 0.8},
        {"bias": 0.4},
        {"noise": 5.0},
        {"motion": 6.0},
        {"slice_mm": 12.0},
        {"pixel_mm": 5.0},
    ],
    ids=lambda s: next(iter(s)),
)
def test_every_effect_changes_the_image_alone_but_deformation(
    shipped: Session, oblique_head: Volume, settings: dict[str, Any]
) -> None:
    affine = oblique_head.geometry.affine.copy()
    affine[:3, :3] /= 4
    volume = Volume(oblique_head.data, Geometry(oblique_head.geometry.shape, affine))
    labels = shells(volume)
    outcome = varied(shipped, volume, labels, **settings)
    image, mapped = outcome.volumes["image"], outcome.volumes["segmentation"]
    assert image.geometry is mapped.geometry is volume.geometry
    assert np.isfinite(image.data).all()
    assert np.abs(image.data - volume.data).max() > 5.0
    assert mapped.data.dtype == labels.data.dtype
    assert (mapped.data == labels.data).all() == ("deformation" not in settings)


def test_labels_are_deformed_as_their_image_is(shipped: Session, oblique_head: Volume) -> None:
    """An image that shows its own labels still shows them after both were deformed."""
    labels = shells(oblique_head)
    shown = labels.with_data(100 * labels.data.astype(np.float32))
    outcome = varied(shipped, shown, labels, deformation=6.0)
    image, mapped = outcome.volumes["image"].data[0] / 100, outcome.volumes["segmentation"].data[0]
    assert set(np.unique(mapped)) == set(np.unique(labels.data))
    assert np.abs(mapped.astype(int) - labels.data[0]).any()
    inner = ndimage.minimum_filter(mapped, 3) == ndimage.maximum_filter(mapped, 3)
    np.testing.assert_allclose(image[inner], mapped[inner], atol=1e-3)
    assert np.abs(image - mapped).mean() < 1.0


def test_a_sample_depends_on_seed_and_number_alone(shipped: Session, oblique_head: Volume) -> None:
    effects: dict[str, Any] = {"deformation": 4.0, "scanner": 0.5, "bias": 0.2, "noise": 3.0, "motion": 3.0}
    three = varied(shipped, oblique_head, count=3, seed=5, **effects)
    five = varied(shipped, oblique_head, count=5, seed=5, **effects)
    assert sorted(five.volumes) == [f"image-00{n}" for n in range(1, 6)]
    for key, volume in three.volumes.items():
        np.testing.assert_array_equal(volume.data, five.volumes[key].data)
    other = varied(shipped, oblique_head, count=3, seed=6, **effects).volumes["image-003"]
    assert np.abs(other.data - three.volumes["image-003"].data).max() > 1.0
    assert np.abs(three.volumes["image-001"].data - three.volumes["image-002"].data).max() > 1.0


def test_an_effect_does_not_change_how_another_is_drawn(shipped: Session, oblique_head: Volume) -> None:
    alone = varied(shipped, oblique_head, shells(oblique_head), deformation=4.0, seed=2)
    both = varied(shipped, oblique_head, shells(oblique_head), deformation=4.0, noise=5.0, seed=2)
    np.testing.assert_array_equal(alone.volumes["segmentation"].data, both.volumes["segmentation"].data)


def test_cancel_ends_it(shipped: Session, oblique_head: Volume) -> None:
    calls = iter(range(10_000))
    with pytest.raises(CancelledError):
        run(
            shipped,
            MODEL,
            {"image": oblique_head},
            replace(RunOptions(), count=50),
            cancel=lambda: next(calls) > 20,
        )
