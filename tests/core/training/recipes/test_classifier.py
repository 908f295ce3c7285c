from __future__ import annotations

import math

import pytest
import torch

from medgan_core.training.networks import Networks
from medgan_core.training.recipes.classifier import Classifier
from medgan_core.training.recipes.detecting import detection
from tests.core.training.recipes.subjects import CPU, judge_few, moment


class Spots:
    """Every second patch has a spot in it that is as bright as the other patches are everywhere."""

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        image = torch.full((1, 32, 32), 0.6)
        image[:, 8:12, 8:12] = 0.9 if number % 2 else 0.6
        return {"image": image, "lesion": torch.tensor(number % 2)}


class Brightest(torch.nn.Module):
    """Suspects patches by their brightest voxel, or by their darkest."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        score = self.sign * image.flatten(1).amax(1)
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, 0.0)])
def test_the_area_is_that_of_the_score(sign: float, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_few(monkeypatch)
    networks = Networks({"model": Brightest(sign)}, CPU)
    found = Classifier().validate(networks, Spots(), moment())
    assert found.numbers["auroc"] == expected
    assert found.numbers["auroc_intensity"] == 1.0
    assert found.pictures is not None


def test_a_score_that_is_not_finite_is_told_not_hidden() -> None:
    batch = {"image": torch.rand(2, 1, 4, 4), "lesion": torch.tensor([0, 1])}
    assert math.isnan(detection(torch.tensor([0.0, float("nan")]), batch)["auroc"])


def test_the_loss_falls_as_the_answers_get_right() -> None:
    batch = {"image": torch.zeros(2, 1, 4, 4), "lesion": torch.tensor([0, 1])}
    right = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
    (low, told), (high, wrong) = (Classifier().error(lambda _, x=x: x, batch) for x in (right, -right))
    assert float(low) < float(high)
    assert (float(told["accuracy"]), float(wrong["accuracy"])) == (1.0, 0.0)
