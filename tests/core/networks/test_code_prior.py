from __future__ import annotations

import math

import pytest
import torch

from medgan_core.networks.code_prior import CodePrior


def prior(mean: float, scale: float) -> CodePrior:
    """One channel with these parameters."""
    found = CodePrior(1)
    with torch.no_grad():
        found.mean.fill_(mean)
        found.log_scale.fill_(math.log(scale))
    return found


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (3.3, 0.4), (-2.0, 5.0)])
def test_the_probabilities_of_all_whole_numbers_add_up_to_one(mean: float, scale: float) -> None:
    values = torch.arange(-200.0, 200.0)[:, None]
    assert float(torch.exp2(-prior(mean, scale)(values)).sum()) == pytest.approx(1, abs=1e-4)


def test_bits_agree_with_the_distribution_function_and_stay_finite_far_out() -> None:
    x = torch.tensor([[0.0], [1.0], [-2.0]])
    mass = torch.sigmoid((x + 0.5) / 2) - torch.sigmoid((x - 0.5) / 2)
    torch.testing.assert_close(prior(0, 2)(x), -torch.log2(mass[:, 0]))
    far = torch.tensor([[1e4]], requires_grad=True)
    bits = prior(0, 0.5)(far)
    assert bits.item() == pytest.approx((1e4 - 0.5) / 0.5 / math.log(2), rel=1e-3)
    bits.backward()
    assert bool(far.grad.isfinite().all())  # type: ignore[union-attr]


def test_channels_are_counted_each_by_its_own_and_added_up() -> None:
    found = CodePrior(2)
    with torch.no_grad():
        found.mean.copy_(torch.tensor([0.0, 5.0]))
    code = torch.randn(3, 2, 4, 5)
    by_hand = sum(prior(mean, 1.0)(code[:, c].reshape(3, 1, 20)) for c, mean in enumerate((0.0, 5.0)))
    torch.testing.assert_close(found(code), by_hand)
