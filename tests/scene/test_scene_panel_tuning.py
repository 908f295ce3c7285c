"""The section Fine-tune without a server: what is shown stays, and no tuning is lost sight of."""

from __future__ import annotations

import pytest

from tests.scene.offline import HERE, ready, scripted
from tests.scene.test_scene_panel import choose, text

FIGURE = [{"name": "Dice", "value": 0.9, "unit": ""}]
VERSIONS = [
    {"version": "1.0.0", "default": True, "figures": FIGURE},
    {"version": "1.0.1", "default": False, "figures": FIGURE},
]
REPORT = {"verdict": "pass", "rows": [{"name": "Version", "value": "1.0.1, better"}]}


@pytest.fixture
def scripts(panel):
    ready(panel)
    choose(panel, "suggest", "hippocampus-suggest")
    return scripted(panel.tuning._chore)


def test_the_outcome_stays_though_another_model_is_chosen(panel, scripts):
    asked = scripted(panel.server)
    panel.ui.tuneButton.click()
    scripts[0].say({"event": "submitted", "id": "j1"})
    choose(panel, "denoise")
    scripts[0].done(versions=VERSIONS, report=REPORT)
    assert asked[0].arguments[-1] == "--describe"
    choose(panel, "translate")
    assert "hippocampus-suggest: Version 1.0.1, better" in text(panel.ui.tuneMessage)
    assert panel.ui.versionsTable.rowCount() == 2
    assert text(panel.ui.useButton) == "Use 1.0.1 (hippocampus-suggest)"
    panel.ui.useButton.click()
    assert scripts[1].option("--versions") == "hippocampus-suggest"
    assert scripts[1].option("--use") == "1.0.1"


def test_a_tuning_whose_server_went_away_is_taken_up_again(panel, scripts):
    panel.ui.tuneButton.click()
    scripts[0].say({"event": "submitted", "id": "j1"})
    assert panel.ui.tuneResumeButton.isHidden()
    scripts[0].fail("timeout", job="j1")
    assert panel.ui.tuneResumeButton.isEnabled()
    assert "Resume" in text(panel.ui.tuneMessage)
    choose(panel, "denoise")
    panel.ui.tuneResumeButton.click()
    assert (scripts[1].option("--tune"), scripts[1].option("--job")) == ("hippocampus-suggest", "j1")
    scripts[1].fail("timeout", job="j1")
    panel.ui.tuneCancelButton.click()
    assert scripts[2].option("--job") == "j1"
    assert scripts[2].asked == ["cancel"]
    scripts[2].say({"event": "submitted", "id": "j1"})
    scripts[2].fail("cancelled")
    assert panel.ui.tuneResumeButton.isHidden()
    assert not panel.ui.tuneCancelButton.isEnabled()


def test_a_tuning_that_runs_is_offered_on_connect(panel, scripts):
    panel.tuning.offer(HERE, [{"id": "j7", "model": "lesion-suggest", "state": "running"}])
    assert "lesion-suggest is running" in text(panel.ui.tuneMessage)
    panel.ui.tuneResumeButton.click()
    assert (scripts[0].option("--tune"), scripts[0].option("--job")) == ("lesion-suggest", "j7")


def test_use_without_a_server_is_said(panel, scripts):
    panel.ui.versionsButton.click()
    scripts[0].done(versions=VERSIONS)
    panel.server._lose()
    panel.update()
    panel.ui.versionsTable.selectRow(0)
    assert not panel.ui.useButton.isEnabled()
    panel.tuning.use(panel.server.access)
    assert "Connect to a server" in text(panel.ui.tuneMessage)


def test_a_tuning_that_is_offered_stays_when_the_server_takes_no_further_one(panel, scripts):
    panel.tuning.offer(HERE, [{"id": "j7", "model": "lesion-suggest", "state": "running"}])
    panel.ui.tuneButton.click()
    scripts[0].fail("busy")
    assert panel.ui.tuneResumeButton.isEnabled()
    assert panel.ui.tuneCancelButton.isEnabled()
    panel.ui.tuneButton.click()
    scripts[1].say({"event": "submitted", "id": "j8"})
    scripts[1].fail("failed")
    assert panel.ui.tuneResumeButton.isHidden(), "the new one took its place, and ended"


def test_a_tuning_of_whose_end_nothing_is_known_can_be_resumed(panel, scripts):
    panel.ui.tuneButton.click()
    scripts[0].say({"event": "submitted", "id": "j1"})
    panel.ui.tuneCancelButton.click()
    scripts[0].fail("unconfirmed", job="j1")
    assert panel.ui.tuneResumeButton.isEnabled()
    assert panel.ui.tuneCancelButton.isEnabled()
    assert "Resume" in text(panel.ui.tuneMessage)
