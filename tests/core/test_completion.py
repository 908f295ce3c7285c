from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import CancelledError, UsageError
from medgan_core.monitor import Progress
from medgan_core.registry import CARD, Registry
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


def test_a_translator_that_refuses_does_not_end_the_run(
    session: Session, oblique_head: Volume, tmp_path: Path
) -> None:
    shutil.copytree(session.registry.folders[0], tmp_path, dirs_exist_ok=True)
    card = session.registry.card("brain-mr-translate")
    strict = replace(card, domain=replace(card.domain, spacing_mm=(0.4, 2.0)))
    strict.save(tmp_path / card.name / CARD)
    other = Session("cpu", registry=Registry([tmp_path]))
    outcome = run(other, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST))
    row = next(row for row in outcome.report.rows if row.name == "T1 and T2: not made up")
    assert row.verdict == "caution"
    assert "brain-mr-translate refuses the input: FLAIR: voxel size" in str(row.value)
    alone = uncertainty(session, {"FLAIR": oblique_head}, complete=False)
    np.testing.assert_array_equal(outcome.volumes["uncertainty"].data, alone)
    assert "made_up" not in outcome.report.provenance["plan"]


def test_a_recorded_completion_is_replayed(session: Session, oblique_head: Volume) -> None:
    first = run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST))
    plan = json.loads(json.dumps(first.report.provenance["plan"]))
    card = session.registry.card("brain-mr-translate")
    made = plan["made_up"]
    assert (made["model"], made["version"], made["sha256"]) == (card.name, "0.3.0", card.weights.sha256)
    assert set(made["plans"]) == {"T1", "T2"}
    again = run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST, plan=plan))
    assert again.report.provenance["plan"] == plan
    np.testing.assert_array_equal(again.volumes["uncertainty"].data, first.volumes["uncertainty"].data)
    made["plans"]["T1"]["views"][0]["plan"]["backend"] = "onnxruntime"
    with pytest.raises(UsageError, match="onnxruntime"):  # the translator was given its plan
        run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST, plan=plan))
    made["sha256"] = "0" * 64
    with pytest.raises(UsageError, match="another version"):
        run(session, NAME, {"FLAIR": oblique_head}, RunOptions(settings=FAST, plan=plan))
