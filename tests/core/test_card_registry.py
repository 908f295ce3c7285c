from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgan_core import registry
from medgan_core.card import ModelCard, Port
from medgan_core.errors import ModelError, UsageError
from medgan_core.registry import Registry
from medgan_core.training import RECIPES
from tests.models import TRAINING, toy_denoise


def test_a_card_survives_json(tmp_path: Path) -> None:
    card = toy_denoise(tmp_path)
    assert ModelCard.load(tmp_path / "mr-denoise" / "card.json") == card
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"task": "paint"}, "card.task"),
        ({"min_inputs": "one"}, "card.min_inputs"),
        ({"limits": "none"}, "card.limits"),
        ({"preprocess": {"percentil": 99}}, "percentil"),
        ({"domain": {"anatomy": "head"}}, "modality"),
    ],
)
def test_a_typo_in_a_card_does_not_pass(tmp_path: Path, change: dict[str, object], named: str) -> None:
    plain = toy_denoise(tmp_path).to_dict()
    with pytest.raises(ModelError, match=named):
        ModelCard.from_dict({**plain, **change})


def test_weights_are_kept_in_16_bits_and_load_back(tmp_path: Path) -> None:
    card = toy_denoise(tmp_path)
    model = Registry([tmp_path]).load("mr-denoise")
    assert model.card == card
    again = registry.save(tmp_path / "again", card, model.network)
    assert again.weights.sha256 == card.weights.sha256
    assert all(p.dtype == torch.float32 for p in model.network.parameters())


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    toy_denoise(tmp_path)
    path = tmp_path / "mr-denoise" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="not those its card names"):
        Registry([tmp_path]).load("mr-denoise")


def test_a_weights_file_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    card = toy_denoise(tmp_path)
    (tmp_path / "stolen.safetensors").write_bytes((tmp_path / "mr-denoise/weights.safetensors").read_bytes())
    moved = replace(card, weights=replace(card.weights, file="../stolen.safetensors"))
    moved.save(tmp_path / "mr-denoise" / "card.json")
    with pytest.raises(ModelError):
        Registry([tmp_path]).load("mr-denoise")


@pytest.mark.parametrize("name", ["nothing", "../mr-denoise", "mr-denoise/..", "", "MR"])
def test_unknown_names_are_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    toy_denoise(tmp_path)
    with pytest.raises(UsageError, match="mr-denoise"):
        Registry([tmp_path]).card(name)


def test_the_pointer_chooses_the_version_and_user_models_come_first(tmp_path: Path) -> None:
    shipped, user = tmp_path / "shipped", tmp_path / "user"
    card = toy_denoise(shipped)
    network = Registry([shipped]).load("mr-denoise").network
    for version in ("1.0.0", "1.1.0"):
        registry.save(user / "mr-denoise" / version, replace(card, version=version), network)
    (user / "mr-denoise" / "default.txt").write_text("1.0.0\n", encoding="utf-8")
    both = Registry([shipped, user])
    assert both.names() == ["mr-denoise"]
    assert both.card("mr-denoise").version == "1.0.0"
    (user / "mr-denoise" / "default.txt").write_text("../../etc", encoding="utf-8")
    assert both.card("mr-denoise").version == card.version


def test_every_shipped_model_loads_and_fits_its_budget() -> None:
    shipped = Registry([registry.SHIPPED])
    size = 0
    for name in shipped.names():
        model = shipped.load(name)
        assert model.card.name == name
        assert model.card.data or not any(True for _ in model.network.parameters())
        assert model.card.limits
        size += (model.folder / model.card.weights.file).stat().st_size
    assert {"brain-mr-translate", "mr-denoise", "brain-mr-gate"} <= set(shipped.names())
    assert size <= 32 * 2**20


def test_shipped_cards_offer_the_settings_that_their_recipes_do() -> None:
    shipped = Registry([registry.SHIPPED])
    cards = [card for card in map(shipped.card, shipped.names()) if card.training.recipe in RECIPES]
    assert len(cards) > 8
    for card in cards:
        written = RECIPES[card.training.recipe]().card(TRAINING)
        assert written is not None
        assert card.settings == written.settings, card.name


def test_the_help_of_completion_tells_the_figures_of_its_card() -> None:
    card = Registry([registry.SHIPPED]).card("lesion-suggest")
    setting = next(one for one in card.settings if one.key == "complete")
    for case in ("FLAIR alone", "FLAIR, others made up"):
        dice = next(f.value for f in card.figures if f.name == f"Dice, {case}")
        assert f"{dice:.2f}" in setting.help


def test_what_a_run_can_be_asked_for_is_of_the_first_outputs_kind(tmp_path: Path) -> None:
    image, other = Port(key="T1", title="T1"), Port(key="T2", title="T2")
    labels = Port(key="segmentation", title="Segmentation", kind="labels")
    card = replace(toy_denoise(tmp_path), outputs=(image, other, labels))
    assert card.targets == ("T1", "T2")
    assert replace(card, outputs=(labels, image)).targets == ("segmentation",)
    assert card.port("T2-003") == other
