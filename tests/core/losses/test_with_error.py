"""An image and its expected error, learned together."""

from __future__ import annotations

import math

import pytest
import torch

from medgan_core.losses.with_error import weighted_mean, with_error


def test_weighted_mean():
    values, weight = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 0.0, 3.0])
    assert weighted_mean(values, weight).item() == pytest.approx(19 / 4)
    assert weighted_mean(values, torch.zeros(3)).item() == 0.0


def test_value_where_the_weight_is():
    """Residuals 3 and 4 (epsilon 4), the second not counted: 5 - 4, and |r| exp(-s) + s = 3 / 2 + ln 2."""
    value, truth = torch.tensor([3.0, 5.0]), torch.tensor([0.0, 1.0])
    log_scale = torch.full((2,), math.log(2.0))
    loss, logs = with_error(value, log_scale, truth, torch.tensor([2.0, 0.0]), epsilon=4.0, nll=0.5)
    likelihood = 1.5 + math.log(2.0)
    assert loss.item() == pytest.approx(1.0 + 0.5 * likelihood)
    assert logs["mae"].item() == pytest.approx(3.0)
    assert logs["nll"].item() == pytest.approx(likelihood)


def test_the_likelihood_leaves_the_image_alone():
    value = torch.randn(4, 5, requires_grad=True)
    log_scale = torch.zeros(4, 5, requires_grad=True)
    truth, weight = torch.randn(4, 5), torch.ones(4, 5)
    slopes = []
    for nll in (0.0, 10.0):
        loss, _ = with_error(value, log_scale, truth, weight, epsilon=0.1, nll=nll)
        slopes.append(torch.autograd.grad(loss, (value, log_scale)))
    assert torch.equal(slopes[0][0], slopes[1][0])
    assert slopes[0][1].abs().max() == 0 < slopes[1][1].abs().max()
