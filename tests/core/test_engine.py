from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError, InputError, UnsuitableError, UsageError
from medgan_core.monitor import Progress
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume

FAST: Mapping[str, object] = {"backend": "torch", "precision": "fp32"}


@pytest.fixture(scope="module")
def session(toy_registry: Registry) -> Session:
    return Session("cpu", registry=toy_registry)


def test_translation_keeps_the_grid_and_names_its_results(session: Session, oblique_head: Volume) -> None:
    outcome = run(session, "brain-mr-translate", {"T1": oblique_head}, RunOptions(target="T2", settings=FAST))
    assert list(outcome.volumes) == ["T2", "trust"]
    for volume in outcome.volumes.values():
        assert volume.data.dtype == np.float32
        assert volume.geometry is oblique_head.geometry
    assert (outcome.volumes["trust"].data >= 0).all()
    assert outcome.report.provenance["synthetic"] is True
    assert outcome.report.provenance["target"] == "T2"


def test_voxels_without_background_stay_zero(session: Session, oblique_head: Volume) -> None:
    options = RunOptions(target="FLAIR", settings=FAST)
    outcome = run(session, "brain-mr-translate", {"T1": oblique_head}, options)
    empty = oblique_head.data == 0
    assert (outcome.volumes["FLAIR"].data[empty] == 0).all()
    assert (outcome.volumes["trust"].data[empty] == 0).all()


def test_the_same_plan_and_seed_give_the_same_voxels(session: Session, oblique_head: Volume) -> None:
    options = RunOptions(settings=FAST)
    first = run(session, "mr-denoise", {"image": oblique_head}, options)
    again = run(
        session, "mr-denoise", {"image": oblique_head}, replace(options, plan=first.report.provenance["plan"])
    )
    np.testing.assert_array_equal(first.volumes["image"].data, again.volumes["image"].data)


def test_no_strength_leaves_the_image_as_it_is(session: Session, oblique_head: Volume) -> None:
    options = RunOptions(settings={**FAST, "strength": 0})
    outcome = run(session, "mr-denoise", {"image": oblique_head}, options)
    np.testing.assert_array_equal(outcome.volumes["image"].data, oblique_head.data)


def test_a_second_input_on_another_grid_is_brought_to_the_first(
    session: Session, oblique_head: Volume
) -> None:
    geometry = oblique_head.geometry
    shifted = geometry.affine.copy()
    shifted[:3, 3] += geometry.affine[:3, 0]
    other = Volume(oblique_head.data[:, 1:], Geometry((43, 52, 13), shifted))
    options = RunOptions(target="FLAIR", settings=FAST)
    outcome = run(session, "brain-mr-translate", {"T1": oblique_head, "T2": other}, options)
    assert outcome.volumes["FLAIR"].geometry is geometry
    names = [row.name for row in outcome.report.rows]
    assert "T2: grid" in names
    assert "T2: distance from T1" in names


def test_progress_rises_to_one_and_cancel_stops(session: Session, oblique_head: Volume) -> None:
    seen: list[Progress] = []
    run(session, "mr-denoise", {"image": oblique_head}, RunOptions(settings=FAST), progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {"check input", "network"} <= {p.stage for p in seen}
    with pytest.raises(CancelledError):
        run(
            session,
            "mr-denoise",
            {"image": oblique_head},
            RunOptions(settings=FAST),
            cancel=lambda: True,
        )


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ({"T3": 1}, RunOptions(target="T2")),
        ({}, RunOptions(target="T2")),
        ({"T1": 1}, RunOptions()),
        ({"T1": 1}, RunOptions(target="T1post")),
        ({"T1": 1}, RunOptions(target="T2", count=2)),
        ({"T1": 1, "T2": 1}, RunOptions(target="T2")),
        ({"T1": 1}, RunOptions(target="T2", settings={"strength": 1})),
        ({"T1": 1}, RunOptions(target="T2", settings={"align": "perhaps"})),
    ],
)
def test_a_wrong_request_is_refused_with_what_would_be_right(
    session: Session, oblique_head: Volume, inputs: dict[str, int], options: RunOptions
) -> None:
    with pytest.raises(UsageError) as caught:
        run(session, "brain-mr-translate", dict.fromkeys(inputs, oblique_head), options)
    assert caught.value.expected


def test_a_constant_image_is_refused(session: Session) -> None:
    flat = Volume(np.full((20, 20, 20), 7.0), Geometry((20, 20, 20), np.diag([3.0, 3, 3, 1])))
    with pytest.raises(InputError, match="constant"):
        run(session, "mr-denoise", {"image": flat}, RunOptions(settings=FAST))


def test_voxels_outside_of_the_domain_are_refused_unless_told_otherwise(
    session: Session, oblique_head: Volume
) -> None:
    huge = Volume(oblique_head.data, Geometry(oblique_head.geometry.shape, np.diag([30.0, 30, 30, 1])))
    with pytest.raises(UnsuitableError) as caught:
        run(session, "brain-mr-translate", {"T1": huge}, RunOptions(target="T2", settings=FAST))
    assert caught.value.report is not None
    assert caught.value.report["verdict"] == "fail"
    options = RunOptions(target="T2", settings={**FAST, "allow_unsuitable": True})
    assert run(session, "brain-mr-translate", {"T1": huge}, options).report.verdict == "fail"
