from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError
from medgan_core.monitor import Progress
from medgan_core.registry import Registry
from medgan_core.volume import Volume
from tests.models import toy_lesions, toy_translate

NAME = "lesion-suggest"
FAST: Mapping[str, object] = {"backend": "torch", "precision": "fp32"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("models")
    toy_translate(folder)
    toy_lesions(folder)
    return Session("cpu", registry=Registry([folder]))


def uncertainty(session: Session, inputs: Mapping[str, Volume], **settings: object) -> np.ndarray:
    outcome = run(session, NAME, inputs, RunOptions(settings={**FAST, **settings}))
    return outcome.volumes["uncertainty"].data


def test_what_is_missing_is_translated_and_the_report_says_so(session: Session, oblique_head: Volume) -> None:
    outcome = run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST))
    rows = {row.name: row for row in outcome.report.rows}
    for key in ("T1", "T2"):
        assert rows[f"{key}: made up"].value == "by brain-mr-translate 0.3.0 from FLAIR"
        assert rows[f"{key}: made up"].verdict == "caution"
    assert outcome.report.provenance["inputs"] == ["FLAIR"]
    assert set(outcome.volumes) == {"segmentation", "uncertainty"}


def test_it_is_what_the_translator_gives(session: Session, oblique_head: Volume) -> None:
    made = {
        key: run(
            session, "brain-mr-translate", {"FLAIR": oblique_head}, RunOptions(target=key, settings=FAST)
        ).volumes[key]
        for key in ("T1", "T2")
    }
    by_hand = uncertainty(session, {"FLAIR": oblique_head, **made})
    np.testing.assert_array_equal(uncertainty(session, {"FLAIR": oblique_head}), by_hand)
    alone = uncertainty(session, {"FLAIR": oblique_head}, complete=False)
    assert not np.array_equal(alone, by_hand)


def test_all_that_is_given_is_used_to_make_the_rest(session: Session, oblique_head: Volume) -> None:
    inputs = {"FLAIR": oblique_head, "T1": oblique_head}
    report = run(session, NAME, inputs, RunOptions(settings=FAST)).report
    told = [row for row in report.rows if row.name.endswith("made up")]
    assert [(row.name, row.value) for row in told] == [
        ("T2: made up", "by brain-mr-translate 0.3.0 from FLAIR and T1")
    ]
    complete = {**inputs, "T2": oblique_head}
    rows = run(session, NAME, complete, RunOptions(settings=FAST)).report.rows
    assert not [row for row in rows if row.name.endswith("made up")]


def test_progress_rises_and_cancel_stops_the_translation(session: Session, oblique_head: Volume) -> None:
    seen: list[Progress] = []
    run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST), progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    inside = [p for p in seen if p.stage == "complete inputs"]
    assert len(inside) > 10
    stop_at = inside[len(inside) // 2].fraction

    def cancel() -> bool:
        return bool(told) and told[-1].fraction >= stop_at

    told: list[Progress] = []
    with pytest.raises(CancelledError):
        run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST), told.append, cancel)
    assert told[-1].stage == "complete inputs"
