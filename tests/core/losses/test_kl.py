from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from medgan_core.losses.kl import gaussian_kl, kl_loss


def test_the_divergence_equals_that_of_torch_and_vanishes_at_the_prior() -> None:
    mean, log_variance = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    reference = kl_divergence(Normal(mean, torch.exp(0.5 * log_variance)), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), reference)
    assert not gaussian_kl(torch.zeros(3), torch.zeros(3)).any()


def test_small_divergences_keep_their_digits() -> None:
    small = torch.tensor(1e-3)
    assert float(gaussian_kl(torch.tensor(0.0), small)) == pytest.approx(1e-6 / 4, rel=1e-3)


def test_the_loss_is_beta_times_nats_per_image() -> None:
    mean, log_variance = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    wanted = 0.3 * gaussian_kl(mean, log_variance).flatten(1).sum(1).mean()
    torch.testing.assert_close(kl_loss(mean, log_variance, beta=0.3), wanted)


def test_free_bits_cost_the_threshold_and_push_nothing_below_it() -> None:
    # Two elements of the code: 0.005 and 2 nats on average over the batch.
    mean = torch.tensor([[0.1, 2.0], [-0.1, -2.0]], requires_grad=True)
    loss = kl_loss(mean, torch.zeros(2, 2), free_bits=0.25)
    assert loss.item() == pytest.approx(0.25 + 2.0)
    (gradient,) = torch.autograd.grad(loss, mean)
    assert not gradient[:, 0].any()
    torch.testing.assert_close(gradient[:, 1], torch.tensor([1.0, -1.0]))
