from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgan_core.training import loop, sampling
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.classifier import Classifier
from medgan_core.training.recipes.flow import Flow
from medgan_core.training.recipes.segmentation import Segmentation
from medgan_core.training.recipes.spade import Spade
from tests.core.training.recipes.subjects import SMALL, WIDTHS, judge_few, write_subjects

PAIRS: dict[str, tuple[Recipe, Recipe]] = {
    "patch": (
        Flow(steps=1, method="euler", condition="class", subject="patch", fold=0),
        Classifier(fold=0),
    ),
    "hippocampus": (Spade(style=4, judge_widths=(4, 4, 4)), Segmentation()),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_subjects(tmp_path_factory.mktemp("subjects"))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("subject", PAIRS)
def test_what_one_run_draws_another_trains_on(
    subject: str, dims: int, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_few(monkeypatch)
    small = {"spatial_dims": dims, "widths": WIDTHS[dims], **SMALL}
    generator, trained = (replace(recipe, **small) for recipe in PAIRS[subject])
    drawn = tmp_path / "drawn"
    loop.train(generator, data=data[subject], out=tmp_path / "generator", command="none", workers=0)
    sampling.sample(tmp_path / "generator", count=3, out=drawn, device="cpu")
    real = [trained.samples(data[subject], validation=False)[n]["image"] for n in (0, 1)]
    for mix in (0.5, 1.0):
        told = replace(trained, generated=str(drawn), mix=mix)
        samples = told.samples(data[subject], validation=False)
        assert [torch.equal(samples[n]["image"], real[n]) for n in (0, 1)] == [mix < 1, False]
        left_out = [x.samples(data[subject], validation=True)[0]["image"] for x in (told, trained)]
        assert torch.equal(*left_out)
        assert loop.train(told, data=data[subject], out=tmp_path / f"{mix}", command="none", workers=0)
