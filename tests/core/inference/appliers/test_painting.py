from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgan_core.engine import Outcome, RunOptions, Session, run
from medgan_core.errors import InputError, UnsuitableError, UsageError
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_brain
from tests.phantom import head_labels

MODEL = "brain-mr-synthesize"


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder: Path = tmp_path_factory.mktemp("painter")
    toy_brain(folder)
    return Session("cpu", registry=Registry([folder]))


@pytest.fixture(scope="module")
def head(oblique_head: Volume) -> Volume:
    """Labels of a head on the grid of the oblique volume."""
    return oblique_head.with_data(head_labels(oblique_head.geometry.shape))


def painted(session: Session, labels: Volume, target: str = "T1", **settings: Any) -> Outcome:
    fast = {"backend": "torch", "precision": "fp32"}
    count, seed = settings.pop("count", 1), settings.pop("seed", 0)
    options = RunOptions(target=target, seed=seed, count=count, settings={**fast, **settings})
    return run(session, MODEL, {"labels": labels}, options)


def inside(outcome: Outcome, labels: Volume, target: str, value: int) -> float:
    return float(np.median(outcome.volumes[target].data[labels.data == value]))


def test_image_and_map_lie_where_the_map_lies(painter: Session, head: Volume) -> None:
    outcome = painted(painter, head)
    assert set(outcome.volumes) == {"T1", "segmentation"}
    for volume in outcome.volumes.values():
        assert volume.geometry is head.geometry
    np.testing.assert_array_equal(outcome.volumes["segmentation"].data, head.data)
    image = outcome.volumes["T1"].data
    assert image.min() >= 0
    assert 700 < np.percentile(image[head.data > 0], 99.5) < 1300


@pytest.mark.parametrize(
    ("target", "brighter", "darker"), [("T1", 2, 3), ("T1", 3, 24), ("T2", 24, 2), ("FLAIR", 3, 24)]
)
def test_tissues_are_ordered_as_a_radiologist_expects(
    painter: Session, head: Volume, target: str, brighter: int, darker: int
) -> None:
    outcome = painted(painter, head, target)
    assert inside(outcome, head, target, brighter) > inside(outcome, head, target, darker)


def test_a_painted_lesion_is_seen_and_kept(painter: Session, head: Volume) -> None:
    data = head.data.copy()
    data[0, 18:24, 30:36, 5:8] = 25
    data[0, 20:26, 14:22, 5:8] = 472
    labels = head.with_data(data)
    flair = painted(painter, labels, "FLAIR")
    assert inside(flair, labels, "FLAIR", 25) > 1.05 * inside(flair, labels, "FLAIR", 2)
    assert {25, 472} <= set(np.unique(flair.volumes["segmentation"].data))
    assert inside(flair, labels, "FLAIR", 472) > 1.05 * inside(flair, labels, "FLAIR", 2)


def test_the_sequence_can_be_set_and_is_told(painter: Session, head: Volume) -> None:
    nulled = painted(painter, head, "FLAIR", tr=9000.0, ti=2500.0, te=100.0)
    row = next(row for row in nulled.report.rows if row.name == "Sequence")
    assert row.value == "inversion recovery, TR 9000, TI 2500, TE 100"
    short = painted(painter, head, "FLAIR", tr=9000.0, ti=150.0, te=100.0)
    assert inside(short, head, "FLAIR", 24) > 3 * inside(nulled, head, "FLAIR", 24)
    with pytest.raises(UsageError, match="views=auto"):  # slices are looked at along one axis
        painted(painter, head, "T1", views="3")
    with pytest.raises(UsageError, match="no flip"):
        painted(painter, head, "T1", ti=900.0, flip=10.0)


def test_a_sequence_that_cannot_be_is_refused_before_anything_is_painted(
    painter: Session, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medgan_core.inference.appliers.painting.paint", pytest.fail)
    for target in ("T1", "FLAIR"):
        with pytest.raises(UsageError, match="TR ends before the echo"):
            painted(painter, head, target, tr=500.0, ti=3000.0, count=3)
    with pytest.raises(UsageError, match="TR ends before the echo"):  # a spin echo is drawn for the last ones
        painted(painter, head, "T1", tr=7.0, count=40)


def test_a_sample_depends_on_seed_and_number_alone(painter: Session, head: Volume) -> None:
    two, three = painted(painter, head, count=2, seed=4), painted(painter, head, count=3, seed=4)
    assert sorted(three.volumes) == [f"{k}-00{n}" for k in ("T1", "segmentation") for n in (1, 2, 3)]
    for key, volume in two.volumes.items():
        np.testing.assert_array_equal(volume.data, three.volumes[key].data)
    first, second = (two.volumes[f"T1-00{n}"].data for n in (1, 2))
    assert np.abs(first - second).max() > 10


def test_without_variety_only_texture_and_noise_differ(painter: Session, head: Volume) -> None:
    by_hand: dict[str, Any] = {"tr": 500.0, "te": 12.0, "texture": 0.0, "refine": 0.0}

    def ratios(variety: float) -> list[float]:
        made = painted(painter, head, count=3, variety=variety, **by_hand).volumes
        images = [made[f"T1-00{n}"].data for n in (1, 2, 3)]
        return [float(np.median(x[head.data == 2]) / np.median(x[head.data == 3])) for x in images]

    assert np.std(ratios(0.0)) < 0.2 * np.std(ratios(1.0))


def test_a_recorded_plan_gives_the_same_voxels(painter: Session, head: Volume) -> None:
    outcome = painted(painter, head)
    options = RunOptions(
        target="T1",
        settings={"backend": "torch", "precision": "fp32"},
        plan=outcome.report.provenance["plan"],
    )
    again = run(painter, MODEL, {"labels": head}, options)
    np.testing.assert_array_equal(again.volumes["T1"].data, outcome.volumes["T1"].data)


def test_tiles_do_not_matter(painter: Session, head: Volume) -> None:
    big = Volume(head_labels((200, 180, 3)), Geometry((200, 180, 3), np.diag([1.0, 1.0, 8.0, 1.0])))
    outcome = painted(painter, big)
    plan = outcome.report.provenance["plan"]
    view = plan["views"][0]
    tiled = {"views": [{**view, "plan": {**view["plan"], "tile": [128, 128], "overlap": 64}}]}
    options = RunOptions(target="T1", settings={"backend": "torch", "precision": "fp32"}, plan=tiled)
    parts = run(painter, MODEL, {"labels": big}, options)
    np.testing.assert_allclose(parts.volumes["T1"].data, outcome.volumes["T1"].data, atol=0.5)


def test_refinement_is_a_share_of_what_the_network_adds(painter: Session, head: Volume) -> None:
    images = [painted(painter, head, refine=share).volumes["T1"].data for share in (0.0, 0.5, 1.0)]
    assert np.abs(images[2] - images[0]).max() > 1.0
    dark = np.minimum(images[0], images[2]) > 50  # values below 0 are cut off
    np.testing.assert_allclose(images[1][dark], ((images[0] + images[2]) / 2)[dark], atol=1.0)


def test_a_brain_alone_stays_alone(painter: Session, head: Volume) -> None:
    brain = head.with_data(np.where(head.data < 500, head.data, 0))
    outcome = painted(painter, brain)
    assert not outcome.volumes["T1"].data[brain.data == 0].any()
    assert painted(painter, head).volumes["T1"].data[head.data == 0].any()


def test_labels_that_have_no_meaning_are_refused(painter: Session, head: Volume) -> None:
    wrong = head.with_data(np.where(head.data == 2, 999, head.data))
    with pytest.raises(InputError, match="does not know"):
        painted(painter, wrong)
    with pytest.raises(UsageError, match="cannot produce"):
        run(painter, MODEL, {"labels": head}, replace(RunOptions(), target="segmentation"))


def test_a_map_on_a_grid_the_card_does_not_know_is_refused(painter: Session, head: Volume) -> None:
    affine = head.geometry.affine.copy()
    affine[:3, :3] *= 8
    coarse = Volume(head.data, Geometry(head.geometry.shape, affine))
    with pytest.raises(UnsuitableError, match="labels: voxel size"):
        painted(painter, coarse)
    assert painted(painter, coarse, allow_unsuitable=True).report.verdict == "fail"


def test_a_map_without_background_is_painted(painter: Session, head: Volume) -> None:
    i, j, k = (n // 2 for n in head.geometry.shape)
    inner = np.where(head.data == 0, 507, head.data)[0, i - 9 : i + 9, j - 9 : j + 9, k - 5 : k + 5]
    cut = Volume(inner, Geometry(inner.shape, head.geometry.affine))
    assert painted(painter, cut).volumes["T1"].data.max() > 0
