"""What a tuning's report says of submitted labels that it did not learn from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from medgan_core import engine
from medgan_core.training.before_after import BeforeAfter
from monailabel_app.jobs import tuning
from monailabel_app.jobs.work import Silence


def test_the_report_of_a_tuning_tells_how_many_labels_were_left_out_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [{"patient": "p", "Dice, Anterior": 0.8}]
    made = SimpleNamespace(
        card=SimpleNamespace(version="1.0.1", weights=SimpleNamespace(sha256="s")),
        used=True,
        found=BeforeAfter(version="1.0.0", before=figures, after=figures),
    )
    monkeypatch.setattr(tuning.tuning, "tune", lambda *_, **__: made)
    work = tuning.Tuning(model="m", cohort=[], out=str(tmp_path), left_out={"not on the image's grid": 3})
    work.perform(engine.Session("cpu"), tmp_path, Silence(), ())
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    told = {row["limit"]: (row["value"], row["verdict"]) for row in rows if "left out" in row["name"]}
    assert told == {"not on the image's grid": (3, "caution")}
