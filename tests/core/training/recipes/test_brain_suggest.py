from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core.data.structures import LABELS, SIDES, STRUCTURES
from medgan_core.engine import RunOptions, Session, run
from medgan_core.errors import UsageError
from medgan_core.registry import Registry
from medgan_core.training import folder, loop, publishing
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.volume import Geometry, Volume
from tests.brains import write_heads
from tests.core.training.recipes.subjects import SMALL, moment, untrained
from tests.models import toy_brain, toy_structures

RECIPE = BrainSuggest(widths=(8, 8), size=48, slices=3, **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert loop.train(RECIPE, data=data, out=out, command="medgan train", workers=0)
    return out


def test_a_run_is_published_with_a_figure_for_every_structure(trained: Path, tmp_path: Path) -> None:
    (found,) = folder.metrics(trained, "validation")
    card, _ = publishing.publish(trained, name=RECIPE.name, models=tmp_path)
    dice = [figure for figure in card.figures if figure.name.startswith("Dice")]
    assert len(dice) == len(STRUCTURES)
    assert {f.n for f in dice} == {4}
    assert dice[0].name == "Dice, cerebral white matter (both sides)"
    assert dice[0].value == pytest.approx(found["dice_1"], abs=1e-4)
    assert len(card.volume_calibration) == len(card.outputs[0].labels) == len(LABELS)
    assert card.volume_calibration[0] == card.volume_calibration[1], "both sides share a class"
    assert card.sides == SIDES
    assert max(card.label_classes) == len(STRUCTURES)


class TestPainter:
    """With a generator that goes over some of the simulated slabs."""

    @pytest.fixture(autouse=True)
    def models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        toy_brain(tmp_path, name="painter")
        toy_structures(tmp_path, name="finder")
        monkeypatch.setenv("MEDGAN_MODELS", str(tmp_path))

    def test_slabs_are_painted_and_stay_in_their_place(self, data: Path) -> None:
        plain = RECIPE.samples(data, validation=False)
        painted = replace(RECIPE, painter="painter", generated=1.0).samples(data, validation=False)
        for number in range(4):
            before, after = plain[number], painted[number]
            assert torch.equal(before["label"], after["label"])
            assert before["input"].shape == after["input"].shape
            assert not torch.equal(before["input"], after["input"])
        again = replace(RECIPE, painter="painter", generated=1.0).samples(data, validation=False)
        assert torch.equal(again[3]["input"], painted[3]["input"])

    def test_it_is_judged_on_what_was_simulated_alone(self, data: Path) -> None:
        both = [replace(RECIPE, painter=name).samples(data, validation=True) for name in ("", "painter")]
        assert torch.equal(both[0][1]["image"], both[1][1]["image"])

    def test_it_trains_and_its_card_names_whose_scans_the_painter_knows(
        self, data: Path, tmp_path: Path
    ) -> None:
        recipe = replace(RECIPE, painter="painter")
        assert loop.train(recipe, data=data, out=tmp_path / "run", command="medgan train", workers=0)
        card, _ = publishing.publish(tmp_path / "run", name=RECIPE.name, models=tmp_path / "published")
        assert len(card.data) > 1
        assert "generator" in card.data[1].note
        assert "generated heads" in " ".join(card.limits)

    def test_a_model_that_does_not_paint_is_refused(self, data: Path) -> None:
        with pytest.raises(UsageError, match="does not paint"):
            replace(RECIPE, painter="finder").samples(data, validation=False)


def test_the_served_model_gives_labels_of_the_card(trained: Path, tmp_path: Path) -> None:
    publishing.publish(trained, name=RECIPE.name, models=tmp_path)
    registry = Registry([tmp_path])
    model = registry.load(RECIPE.name)
    path = tmp_path / RECIPE.name / model.card.version
    replace(model.card, domain=replace(model.card.domain, gate="")).save(path / "card.json")
    geometry = Geometry((70, 72, 24), np.diag([-1.0, 1.0, 4.0, 1.0]))
    image = Volume(np.random.default_rng(0).uniform(0, 500, geometry.shape).astype(np.float32), geometry)
    outcome = run(Session("cpu", registry=registry), RECIPE.name, {"image": image}, RunOptions())
    assert set(np.unique(outcome.volumes["segmentation"].data)) <= {0, *(label.value for label in LABELS)}
    names = {row.name for row in outcome.report.rows}
    assert {"Left and right agree", "Volume: Left thalamus", "Volume: Right thalamus"} <= names


def test_slabs_of_a_head_are_learned(data: Path) -> None:
    torch.manual_seed(0)
    networks, samples = untrained(RECIPE), RECIPE.samples(data, validation=False)
    batch = {key: torch.stack([samples[n][key] for n in range(4)]) for key in ("input", "label")}
    optimiser = torch.optim.Adam(networks.modules["model"].parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        loss, _ = RECIPE.loss("model", networks, batch, moment(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]
