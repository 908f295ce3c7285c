"""What is chosen in the panel stays chosen: inputs and settings, whatever else happens."""

from __future__ import annotations

from tests.scene.offline import CARDS, ready, volume
from tests.scene.test_scene_panel import choose


def chosen(panel):
    return {key: node.GetName() for key, node in panel.tasks._form.inputs().items()}


def select(panel, key, node):
    """As a person does."""
    panel.tasks._form.selectors[key].setCurrentNode(node)


def test_entering_changes_no_input_that_is_chosen(panel, headless):
    first, second = volume(headless, "case-a T1"), volume(headless, "case-b")
    ready(panel)
    choose(panel, "suggest", "hippocampus-suggest")
    select(panel, "image", first)
    panel.tasks.request("http://127.0.0.1:9")
    panel.onNextCase(second)
    assert chosen(panel) == {"image": "case-b"}
    panel.enter()
    assert chosen(panel) == {"image": "case-b"}
    choose(panel, "denoise")
    choose(panel, "suggest", "hippocampus-suggest")
    assert chosen(panel) == {"image": "case-b"}


def test_entering_fills_what_is_empty_unless_a_person_emptied_it(panel, headless):
    ready(panel)
    choose(panel, "translate")
    assert chosen(panel) == {}
    volume(headless, "head T1")
    panel.enter()
    assert chosen(panel) == {"T1": "head T1"}
    volume(headless, "head FLAIR")
    panel.enter()
    assert chosen(panel) == {"T1": "head T1", "FLAIR": "head FLAIR"}
    select(panel, "FLAIR", None)
    panel.enter()
    assert chosen(panel) == {"T1": "head T1"}


def test_a_choice_is_remembered_when_it_is_made(panel, headless):
    named, wanted = volume(headless, "T1"), volume(headless, "another series")
    ready(panel)
    choose(panel, "translate")
    assert chosen(panel) == {"T1": "T1"}
    select(panel, "T1", wanted)
    choose(panel, "denoise")
    choose(panel, "translate")
    assert chosen(panel) == {"T1": "another series"}
    assert named is not wanted


def test_settings_stay_when_the_cards_are_read_again(panel, headless):
    volume(headless, "T1")
    ready(panel)
    choose(panel, "denoise")
    panel.tasks._form.controls["strength"].setValue(0.3)
    panel.tasks.set_cards(CARDS)
    assert panel.tasks._form.settings()["strength"] == 0.3
