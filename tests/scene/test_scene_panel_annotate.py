"""The section Annotate without a server: the next case, what segments mean, the case's name."""

from __future__ import annotations

import json

import pytest
from MedGANLib import meaning, stored, texts
from MedGANLib.logic import SceneLogic

from medgan_core import io
from tests.scene.offline import CARDS, HERE, drawn_by_hand, drawn_on, ready, scripted, volume
from tests.scene.test_scene_panel import choose, text

HIPPOCAMPUS = "Posterior hippocampus", "Anterior hippocampus"
SUGGEST = next(card for card in CARDS if card["name"] == "hippocampus-suggest")


@pytest.fixture
def image(headless):
    return volume(headless, "p7 T1w")


def test_the_names_of_the_segments_decide_though_another_task_is_chosen(panel, headless, image):
    ready(panel)
    choose(panel, "denoise")
    panel.annotation.choose(drawn_by_hand(headless, image, *HIPPOCAMPUS))
    assert "Posterior hippocampus = 2, Anterior hippocampus = 1" in text(panel.ui.labelTarget)
    started = scripted(panel.annotation._chore)
    panel.ui.submitButton.click()
    label = io.read(started[0].option("--label")).data.squeeze()
    assert (label[20, 15, 5], label[20, 15, 11]) == (2, 1)


def test_segments_that_no_model_knows_are_not_submitted(panel, headless, image):
    ready(panel)
    panel.annotation.choose(drawn_by_hand(headless, image, "Segment_1", "Segment_2"))
    assert not panel.ui.submitButton.isEnabled()
    assert "knows the segments Segment_1, Segment_2" in text(panel.ui.labelTarget)
    assert "Anterior hippocampus" in text(panel.ui.labelTarget)
    made = drawn_on(headless, image, SUGGEST["outputs"][0]["labels"])
    panel.annotation.choose(made)
    assert panel.ui.submitButton.isEnabled()
    made.GetSegmentation().AddEmptySegment("", "my own")
    panel.update()
    assert not panel.ui.submitButton.isEnabled()
    assert "my own is not known here" in text(panel.ui.labelTarget)


def test_a_name_with_several_meanings_has_to_be_chosen(headless, image):
    def card(name, value):
        label = {"value": value, "name": "Lesion", "colour": "#ff0000"}
        return {"name": name, "task": "suggest", "outputs": [{"kind": "labels", "labels": [label]}]}

    made, one, other = drawn_by_hand(headless, image, "lesion"), card("one", 1), card("other", 5)
    assert "choose one of them under Task" in meaning.of(made, [one, other], None).lack
    assert meaning.of(made, [one, other], other).text == "Sent: lesion = 5."
    assert meaning.of(made, [one, card("same", 1)], None).text == "Sent: lesion = 1."
    assert "no model" in meaning.of(made, [], None).lack


def test_the_case_is_named_by_the_person_and_no_patient_is_named_by_default(panel, headless, image):
    ready(panel)
    panel.annotation.choose(drawn_by_hand(headless, image, *HIPPOCAMPUS))
    assert not panel.ui.caseBox.isHidden()
    assert panel.ui.caseEdit.text() == "p7_T1w"
    panel.ui.caseEdit.setText("p 7/../x")
    panel.ui.caseEdit.textEdited.emit("p 7/../x")
    assert not panel.ui.submitButton.isEnabled()
    panel.ui.caseEdit.setText("p7_FLAIR")
    panel.ui.caseEdit.textEdited.emit("p7_FLAIR")
    started = scripted(panel.annotation._chore)
    panel.ui.submitButton.click()
    assert started[0].option("--image") == "p7_FLAIR"
    started[0].say({"event": "stored", "image": "p7_FLAIR", "sha256": "5a"})
    started[0].fail("timeout")
    assert "stored image p7_FLAIR" in text(panel.ui.labelTarget), "what was stored is not stored again"
    assert panel.ui.caseBox.isHidden()
    assert stored.new_name(volume(headless, "Doe^Jane T1")).startswith("case-")


def test_a_segmentation_that_changes_is_judged_again(panel, headless, image):
    ready(panel)
    made = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    panel.annotation.choose(made)
    assert "drawn on no volume" in text(panel.ui.labelTarget)
    made.SetReferenceImageGeometryParameterFromVolumeNode(image)
    assert "no segment" in text(panel.ui.labelTarget)
    segment = made.GetSegmentation().AddEmptySegment("", "Segment_1")
    assert "knows the segments Segment_1" in text(panel.ui.labelTarget)
    made.GetSegmentation().GetSegment(segment).SetName("anterior hippocampus")
    assert panel.ui.submitButton.isEnabled()
    assert panel.ui.caseEdit.text() == "p7_T1w"
    made.SetReferenceImageGeometryParameterFromVolumeNode(volume(headless, "p8 T1w"))
    assert panel.ui.caseEdit.text() == "p8_T1w"


def test_a_click_says_what_is_missing_by_now(panel, headless, image):
    ready(panel)
    choose(panel, "suggest", "hippocampus-suggest")
    panel.annotation.choose(drawn_by_hand(headless, image, *HIPPOCAMPUS))
    assert panel.ui.submitButton.isEnabled()
    headless.scene.RemoveNode(image)
    assert not panel.ui.submitButton.isEnabled()
    panel.annotation.submit(HERE)
    assert "drawn on no volume" in text(panel.ui.annotateMessage)
    panel.annotation.choose(None)
    panel.annotation.submit(HERE)
    assert "Choose the segmentation" in text(panel.ui.annotateMessage)
    panel.onRun()
    assert "Choose a" in text(panel.ui.messageLabel)
    panel.server._lose()
    for act in (panel.annotation.next, panel.tuning.tune, panel.tuning.show_versions):
        act(panel.server.access)
    assert "Connect to a server" in text(panel.ui.annotateMessage)
    assert "Connect to a server" in text(panel.ui.tuneMessage)
    panel.onRun()
    assert "Connect to a server" in text(panel.ui.messageLabel)


def test_the_cheap_strategy_is_chosen_first_and_then_the_one_used_last(panel):
    ready(panel)
    selector = panel.ui.strategySelector
    assert selector.currentText() == "first"
    selector.setCurrentIndex(selector.findText("epistemic"))
    started = scripted(panel.annotation._chore)
    panel.ui.nextButton.click()
    started[0].fail("timeout")
    panel.server._lose()
    ready(panel)
    assert selector.currentText() == "epistemic"


def test_a_model_is_named_to_the_strategies_that_ask_one(panel):
    ready(panel)
    choose(panel, "denoise")
    started = scripted(panel.annotation._chore)
    selector = panel.ui.strategySelector
    for strategy in ("epistemic", "random"):
        selector.setCurrentIndex(selector.findText(strategy))
        panel.ui.nextButton.click()
        started[-1].fail("timeout")
    named = next(card["name"] for card in panel.tasks.suggesting if len(card["inputs"]) == 1)
    assert started[0].option("--model") == named
    assert "--model" not in started[1].arguments


def test_the_next_case_can_be_cancelled_and_says_how_far_it_is(panel):
    ready(panel)
    started = scripted(panel.annotation._chore)
    assert not panel.ui.annotateCancelButton.isEnabled()
    panel.ui.nextButton.click()
    job = {"state": "running", "stage": "image 3 of 8", "fraction": 0.5, "remaining_s": 120}
    started[0].say({"event": "progress", "job": job})
    assert panel.ui.annotateBar.value() > 500
    assert "about 2 min left" in text(panel.ui.annotateMessage)
    panel.ui.annotateCancelButton.click()
    assert started[0].asked == ["cancel"]
    started[0].fail("cancelled")
    assert "Cancelled" in text(panel.ui.annotateMessage)
    assert panel.ui.nextButton.isEnabled()


@pytest.mark.parametrize(("name", "key"), [("p7_T1w", "T1"), ("p7_FLAIR", "FLAIR"), ("p7_T2w", None)])
def test_the_next_case_goes_into_the_input_of_its_contrast(panel, headless, name, key):
    two = {"key": "FLAIR", "required": True}, {"key": "T1"}
    card = dict(SUGGEST, name="two", inputs=list(two))
    ready(panel, [card])
    case = volume(headless, name)
    panel.onNextCase(case)
    assert panel.tasks._form.inputs() == ({key: case} if key else {})


def test_the_label_of_a_case_names_its_model_and_its_grid(panel, headless, image, tmp_path):
    ready(panel)
    path = SceneLogic(headless.scene).export(image, str(tmp_path), "image")
    started = scripted(panel.annotation._chore)
    panel.ui.nextButton.click()
    started[0].done(image="c0", file=path, sha256="5a")
    (case,) = (node for node in panel.logic.nodes.volumes() if node is not image)
    panel.annotation.choose(drawn_by_hand(headless, case, *HIPPOCAMPUS))
    panel.ui.submitButton.click()
    assert (started[1].option("--image"), started[1].option("--image-sum")) == ("c0", "5a")
    assert "--image-file" not in started[1].arguments
    assert json.loads(started[1].option("--about")) == {"model": "", "corrected": True}


def test_what_the_server_notes_about_a_label_is_a_warning(panel, headless, image):
    ready(panel)
    panel.annotation.choose(drawn_by_hand(headless, image, *HIPPOCAMPUS))
    started = scripted(panel.annotation._chore)
    panel.ui.submitButton.click()
    started[0].done(image="p7_T1w", note="Its grid is another, so tuning will leave it out.")
    message = text(panel.ui.annotateMessage)
    assert texts.ORANGE in message
    assert "final label of p7_T1w" in message
    assert "tuning will leave it out" in message


def test_the_next_case_is_what_came_though_another_image_had_its_name(panel, headless, image, tmp_path):
    ready(panel)
    started = scripted(panel.annotation._chore)
    fetched = []
    for number, sha256 in enumerate(("old", "new", "new")):
        path = SceneLogic(headless.scene).export(image, str(tmp_path), sha256)
        panel.ui.nextButton.click()
        started[number].done(image="c0", file=path, sha256=sha256)
        fetched.append(next(iter(panel.tasks._form.inputs().values())))
    old, new, again = fetched
    assert old is not new
    assert again is new
    assert [stored.sum_of(node) for node in (old, new)] == ["old", "new"]


def test_a_synthetic_volume_is_no_case(panel, headless, image):
    ready(panel)
    made = volume(headless, "T1w (synthetic)")
    made.SetAttribute("MedGAN.Synthetic", "true")
    drawn = drawn_by_hand(headless, made, *HIPPOCAMPUS)
    panel.annotation.choose(drawn)
    assert not panel.ui.submitButton.isEnabled()
    assert "T1w (synthetic) is synthetic" in text(panel.ui.labelTarget)
    started = scripted(panel.annotation._chore)
    panel.annotation.submit(HERE)
    assert not started
    stored.note(made, "c0", "5a", HERE)
    panel.update()
    assert not panel.ui.submitButton.isEnabled(), "nor one that was stored before"
    drawn.SetReferenceImageGeometryParameterFromVolumeNode(image)
    assert panel.ui.submitButton.isEnabled()
