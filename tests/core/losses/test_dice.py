from __future__ import annotations

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.losses.dice import dice_cross_entropy

LABELS = torch.randint(0, 3, (2, 6, 5, 4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("background", [False, True])
def test_it_equals_a_naive_reference(dims: int, background: bool) -> None:
    labels = LABELS if dims == 3 else LABELS[..., 0]
    logits = torch.randn(2, 3, *labels.shape[1:], generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1)
    dice = []
    for label in range(0 if background else 1, 3):
        inside = (labels == label).float()
        dice.append(2 * (p[:, label] * inside).sum() / (p[:, label].sum() + inside.sum()))
    entropy = -p.gather(1, labels[:, None]).log().mean()
    wanted = 1 - torch.stack(dice).mean() + entropy
    torch.testing.assert_close(
        dice_cross_entropy(logits, labels, background=background), wanted, rtol=1e-5, atol=1e-5
    )


def test_a_sure_and_right_answer_costs_nothing() -> None:
    logits = 100 * torch.nn.functional.one_hot(LABELS, 3).movedim(-1, 1).float()
    assert float(dice_cross_entropy(logits, LABELS)) == pytest.approx(0, abs=1e-5)


def test_a_label_missing_in_one_image_does_not_count_as_a_miss() -> None:
    labels = LABELS.clone()
    labels[1] = labels[1].clamp(max=1)
    logits = 100 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert float(dice_cross_entropy(logits, labels)) == pytest.approx(0, abs=1e-5)


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match="labels"):
        dice_cross_entropy(torch.zeros(2, 3, 6, 5), LABELS)
