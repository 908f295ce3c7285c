from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core import registry
from medgan_core.card import ModelCard
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import ModelError, UnsuitableError
from medgan_core.networks.slab_segmenter import SlabSegmenter
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import toy_suggest

NAME = "hippocampus-suggest"
EXACT = {"backend": "torch", "precision": "fp32"}
LEVELS = (0.3, 0.7)


def _thresholds(folder: Path, card: ModelCard) -> None:
    """Weights with which a bright voxel is label 2, a medium one label 1, and the rest background."""
    network = SlabSegmenter(contrasts=1, classes=3, slices=1, widths=(8,))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for pixel in range(4):
            network.stem.weight[pixel, pixel, 1, 1] = 1.0
            for label, (slope, level) in enumerate(((0.0, 0.0), (1.0, LEVELS[0]), (2.0, LEVELS[1] * 1.5))):
                network.head.weight[4 * label + pixel, pixel, 1, 1] = 60 * slope
                network.head.bias[4 * label + pixel] = -60 * (level if label < 2 else sum(LEVELS))
    options = {"contrasts": 1, "classes": 3, "slices": 1, "widths": [8]}
    architecture = replace(card.architecture, options=options)
    registry.save(folder / NAME, replace(card, architecture=architecture), network)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard]:
    folder = tmp_path_factory.mktemp("suggest")
    made = replace(toy_suggest(folder), volume_calibration=(2.0, 4.0))
    _thresholds(folder, made)
    return folder, made


@pytest.fixture(scope="module")
def session(card: tuple[Path, ModelCard]) -> Session:
    return Session("cpu", registry=Registry([card[0]]))


@pytest.fixture(scope="module")
def ball() -> Volume:
    """Nested balls on a left-handed, oblique grid of cubes; the foreground's brightest is 1000."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (36, 42, 33)), indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    data = np.select([radius < 0.4, radius < 0.8], [1000.0, 500.0], 60.0)
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, 1.0, 1.0])
    return Volume(data.astype(np.float32), Geometry((36, 42, 33), affine))


def test_labels_lie_where_they_are_on_the_sources_grid(session: Session, ball: Volume) -> None:
    outcome = run(session, NAME, {"image": ball}, RunOptions(settings=EXACT))
    labels, uncertainty = outcome.volumes["segmentation"], outcome.volumes["uncertainty"]
    expected = np.select([ball.data[0] == 1000, ball.data[0] == 500], [2, 1], 0)
    assert labels.geometry is ball.geometry
    assert labels.data.dtype == np.uint8
    np.testing.assert_array_equal(labels.data[0], expected)
    assert uncertainty.data.dtype == np.float32
    assert 0 <= float(uncertainty.data.min()) <= float(uncertainty.data.max()) <= 1
    assert [v["axis"] for v in outcome.report.provenance["plan"]["views"]] == [2, 1, 0]
    rows = {row.name: row for row in outcome.report.rows}
    for number, part in ((1, "Anterior"), (2, "Posterior")):
        row = rows[f"Volume: {part} hippocampus"]
        assert row.value == pytest.approx((expected == number).sum() / 1000, rel=0.01)
        assert "90 % interval" in row.unit
        assert row.interval is not None
        assert row.interval == pytest.approx((row.value, row.value), rel=0.05), "nothing is in doubt"
        assert row.verdict == "pass"
    plain = outcome.report.to_dict()["rows"]
    assert {row["name"] for row in plain if "interval" in row} == {n for n in rows if n.startswith("Volume")}


def test_a_replayed_plan_gives_the_same_voxels(session: Session, ball: Volume) -> None:
    first = run(session, NAME, {"image": ball}, RunOptions(settings=EXACT))
    options = RunOptions(settings=EXACT, plan=first.report.provenance["plan"])
    again = run(session, NAME, {"image": ball}, options)
    for key, volume in first.volumes.items():
        np.testing.assert_array_equal(volume.data, again.volumes[key].data)


def test_slices_that_were_resampled_come_back_in_place(session: Session, ball: Volume) -> None:
    """Pixels of 0.85 mm are brought to 0.9 for the network; the answer is on the pixels of the source."""
    affine = ball.geometry.affine @ np.diag([0.85, 0.85, 0.85, 1.0])
    fine = Volume(ball.data, Geometry(ball.geometry.shape, affine))
    labels = run(session, NAME, {"image": fine}, RunOptions(settings=EXACT)).volumes["segmentation"]
    expected = np.select([ball.data[0] == 1000, ball.data[0] == 500], [2, 1], 0)
    assert labels.data.shape == ball.data.shape
    assert float((labels.data[0] == expected).mean()) > 0.97


def test_the_volume_of_a_blurred_structure_is_told_with_caution(session: Session, ball: Volume) -> None:
    from scipy import ndimage

    soft = ball.with_data(ndimage.gaussian_filter(ball.data[0], 5.0) / 2 + 60)
    outcome = run(session, NAME, {"image": soft}, RunOptions(settings=EXACT))
    verdicts = {row.verdict for row in outcome.report.rows if row.name.startswith("Volume")}
    assert "caution" in verdicts


def test_a_whole_head_is_refused_with_what_is_wanted(session: Session) -> None:
    data = np.random.default_rng(0).uniform(0, 100, (90, 110, 90)).astype(np.float32)
    head = Volume(data, Geometry((90, 110, 90), np.diag([2.0, 2, 2, 1])))
    with pytest.raises(UnsuitableError, match="crop around one hippocampus") as refused:
        run(session, NAME, {"image": head}, RunOptions(settings=EXACT))
    assert "field of view" in str(refused.value)


def test_a_card_without_measured_intervals_tells_none(
    card: tuple[Path, ModelCard], ball: Volume, tmp_path: Path
) -> None:
    _thresholds(tmp_path, replace(card[1], volume_calibration=()))
    bare = Session("cpu", registry=Registry([tmp_path]))
    rows = run(bare, NAME, {"image": ball}, RunOptions(settings=EXACT)).report.rows
    told = [row for row in rows if row.name.startswith("Volume")]
    assert {(row.unit, row.verdict) for row in told} == {("mL, no interval was measured", "not assessed")}


def test_a_card_that_names_other_labels_than_the_network_has_is_an_error(
    card: tuple[Path, ModelCard], ball: Volume, tmp_path: Path
) -> None:
    port = card[1].outputs[0]
    fewer = replace(card[1], outputs=(replace(port, labels=port.labels[:1]), *card[1].outputs[1:]))
    _thresholds(tmp_path, fewer)
    with pytest.raises(ModelError, match="do not agree"):
        run(Session("cpu", registry=Registry([tmp_path])), NAME, {"image": ball}, RunOptions(settings=EXACT))
