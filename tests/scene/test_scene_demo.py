"""The demo chooses models and their inputs by what the cards say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from demo_labels import fits, needed
from MedGANLib.logic import SceneLogic

from tests.scene.conftest import head

DOMAIN = {"spacing_mm": [0.8, 1.25], "extent_mm": [24.0, 64.0]}


@pytest.fixture
def crop(headless):
    """40 mm along each axis."""
    return headless.add_volume(head((40, 40, 40)), None, "a crop", matrix=np.eye(4))


@pytest.fixture
def whole(headless):
    """Too large for `DOMAIN`."""
    return headless.add_volume(head((20, 20, 80)), None, "MNI T1", matrix=np.eye(4))


def asked(headless, card, images):
    return needed(SimpleNamespace(logic=SceneLogic(headless.scene)), card, images)


def test_a_model_gets_an_image_of_the_size_it_was_made_for(headless, crop, whole):
    assert fits(DOMAIN, crop)
    assert not fits(DOMAIN, whole)
    card = {"task": "suggest", "domain": DOMAIN, "inputs": [{"key": "image", "required": True}]}
    assert asked(headless, card, [whole, crop]) == {"image": crop}
    assert asked(headless, card, [whole]) is None


def test_contrasts_go_where_their_names_say(headless, crop, whole):
    wide = {"spacing_mm": [0.1, 20.0], "extent_mm": [5.0, 600.0]}
    card = {"task": "suggest", "domain": wide, "inputs": [{"key": "T1"}, {"key": "FLAIR"}]}
    assert asked(headless, card, [crop, whole]) == {"T1": whole}


def test_what_needs_a_label_map_is_left_out_and_what_needs_nothing_gets_nothing(headless, whole):
    labels = {"key": "labels", "kind": "labels", "required": True}
    paint = {"task": "synthesize", "domain": DOMAIN, "inputs": [labels]}
    assert asked(headless, paint, [whole]) is None
    pairs = {
        "task": "synthesize",
        "domain": DOMAIN,
        "min_inputs": 0,
        "inputs": [dict(labels, required=False)],
    }
    assert asked(headless, pairs, [whole]) == {}
