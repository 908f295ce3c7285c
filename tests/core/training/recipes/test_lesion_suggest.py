from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgan_core.data.training_set import open_training_set
from medgan_core.registry import Registry
from medgan_core.training import folder, loop, publishing
from medgan_core.training.recipes.lesion_suggest import LesionSuggest, marked
from tests.brains import write_heads
from tests.core.training.recipes.subjects import SMALL

RECIPE = LesionSuggest(widths=(8, 8), size=48, slices=3, **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("heads"))


def test_simulated_heads_first_then_patients(data: Path, tmp_path: Path) -> None:
    assert loop.train(RECIPE, data=data, out=tmp_path / "first", command="none", workers=0)
    adapted = replace(RECIPE, init=str(tmp_path / "first"), real_share=0.5, sets="ms", fold=0)
    assert loop.train(adapted, data=data, out=tmp_path / "second", command="none", workers=0)
    (found,) = folder.metrics(tmp_path / "second", "validation")
    assert found["cases"] == 8
    models = tmp_path / "models"
    card, _ = publishing.publish(tmp_path / "second", name=RECIPE.name, models=models, default=True)
    assert Registry([tmp_path / "models"]).card(RECIPE.name) == card
    assert card.completes_with == "brain-mr-translate"
    assert [port.key for port in card.inputs if port.required] == ["FLAIR"]
    assert len(card.data) == 2
    assert len(Registry([tmp_path / "first" / "models"]).card(RECIPE.name).data) == 1
    assert len(card.volume_calibration) == 1


def test_the_fold_decides_whose_lesions_are_seen(data: Path) -> None:
    everyone = marked(open_training_set(data), "ms")
    assert [study.patient for study in everyone] == ["ms/p0", "ms/p1"]
    assert not marked(open_training_set(data), "other")
    largest = []
    for fold in (0, 1):
        samples = replace(RECIPE, real_share=1.0, fold=fold).samples(data, validation=False)
        largest.append(max(int(samples[n]["label"].sum()) for n in range(60)))
    assert largest[0] < largest[1], "the lesion of p1 is the smaller one"


def test_flair_is_always_shown_and_hidden_contrasts_are_zero(data: Path) -> None:
    samples = RECIPE.samples(data, validation=False)
    seen = set()
    for number in range(20):
        sample = samples[number]
        assert sample["input"].shape == (3 * 3 + 3, 48, 48)
        flags = sample["input"][9:, 0, 0]
        shown = sample["input"][:9].reshape(3, 3, 48, 48).abs().amax(dim=(1, 2, 3)) > 0
        assert torch.equal(shown, flags > 0)
        assert flags[0] == 1
        seen.add(tuple(flags.tolist()))
    assert len(seen) == 4
