"""What a tuning's report says of the versions, and of submitted labels that it did not learn from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medgan_core import engine
from medgan_core.training.before_after import BeforeAfter
from monailabel_app.jobs import tuning
from monailabel_app.jobs.work import Silence


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The report of a tuning of 1.0.0 that came to 1.0.3, with what is in use at its end."""

    def of(*, dice: float, in_use: str, **more: Any) -> list[dict[str, Any]]:
        before, after = ([{"patient": "p", "Dice, Anterior": value}] for value in (0.8, dice))
        made = SimpleNamespace(
            card=SimpleNamespace(version="1.0.3", weights=SimpleNamespace(sha256="s")),
            used=in_use == "1.0.3",
            found=BeforeAfter(version="1.0.0", before=before, after=after),
        )
        monkeypatch.setattr(tuning.tuning, "tune", lambda *_, **__: made)
        session = engine.Session("cpu")
        session.registry = SimpleNamespace(card=lambda name: SimpleNamespace(version=in_use))  # type: ignore[assignment]
        work = tuning.Tuning(model="m", cohort=[], out=str(tmp_path), **more)
        work.perform(session, tmp_path, Silence(), ())
        rows: list[dict[str, Any]] = json.loads((tmp_path / "report.json").read_text())["rows"]
        return rows

    return of


def test_labels_left_out_are_counted_with_the_reason(report: Any) -> None:
    rows = report(dice=0.9, in_use="1.0.3", left_out={"not on the image's grid": 3})
    told = {row["limit"]: (row["value"], row["verdict"]) for row in rows if "left out" in row["name"]}
    assert told == {"not on the image's grid": (3, "caution")}


@pytest.mark.parametrize(
    ("dice", "in_use", "value", "verdict"),
    [
        (0.9, "1.0.3", "1.0.3, better than 1.0.0, used from now on", "pass"),
        (0.7, "1.0.3", "1.0.3, not better than 1.0.0, used from now on", "caution"),
        (0.7, "1.0.0", "1.0.3, not better than 1.0.0, not used; 1.0.0 stays in use", "caution"),
        (
            0.9,
            "1.0.1",
            "1.0.3, better than 1.0.0, "
            "not used; 1.0.1, which came into use meanwhile, was not compared with it",
            "caution",
        ),
    ],
)
def test_the_version_in_use_is_told_as_it_is(
    report: Any, dice: float, in_use: str, value: str, verdict: str
) -> None:
    row = report(dice=dice, in_use=in_use)[0]
    assert (row["value"], row["verdict"]) == (value, verdict)
    assert row["limit"] == "mean Dice over the labels above that of 1.0.0, no label more than 0.02 below it"
