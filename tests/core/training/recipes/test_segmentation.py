from __future__ import annotations

import pytest
import torch

from medgan_core.training.networks import Networks
from medgan_core.training.recipes.segmentation import Segmentation
from tests.core.training.recipes.subjects import CPU, moment


class Bars:
    """Two scans of slices whose intensity is the label; the second label is in the first scan alone."""

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        case = number % 2
        label = torch.zeros(1, 48, 32, dtype=torch.int64)
        label[:, 4:14] = 1
        if case == 0:
            label[:, 20:30] = 2
        return {"image": label / 2.0, "label": label, "case": torch.tensor(case)}


class Known(torch.nn.Module):
    """The label of each intensity; with `missing` it never says 2."""

    def __init__(self, missing: bool) -> None:
        super().__init__()
        self.missing = missing

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        label = (image[:, 0] * 2).round().long()
        if self.missing:
            label[label == 2] = 0
        return 8 * torch.nn.functional.one_hot(label, 3).movedim(-1, 1).float()


@pytest.mark.parametrize(("missing", "second"), [(False, 1.0), (True, 0.0)])
def test_dice_is_a_mean_over_the_scans_that_have_the_label(missing: bool, second: float) -> None:
    networks = Networks({"model": Known(missing)}, CPU)
    found = Segmentation().validate(networks, Bars(), moment()).numbers
    assert (found["dice_1"], found["dice_2"], found["scans"]) == (1.0, second, 2.0)
    assert found["dice"] == (1 + second) / 2


def test_a_right_answer_costs_less_than_a_wrong_one() -> None:
    recipe = Segmentation()
    batch = {k: torch.stack([Bars()[n][k] for n in range(2)]) for k in ("image", "label")}
    (right, told), (wrong, missed) = (recipe.error(Known(m), batch) for m in (False, True))
    assert float(right) < 0.01 < float(wrong)
    assert float(told["sensitivity"]) == 1.0
    assert float(missed["sensitivity"]) < 1.0
