from __future__ import annotations

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.losses.feature_matching import mean_feature_matching, paired_feature_matching

GENERATOR = torch.Generator().manual_seed(0)
FAKE = [torch.randn(3, 4, 5, 5, generator=GENERATOR), torch.randn(3, 6, generator=GENERATOR)]
REAL = [torch.randn(2, 4, 5, 5, generator=GENERATOR), torch.randn(2, 6, generator=GENERATOR)]


def test_means_over_the_batch_are_compared() -> None:
    naive = sum(float(((f.mean(0) - r.mean(0)) ** 2).mean()) for f, r in zip(FAKE, REAL, strict=True)) / 2
    assert float(mean_feature_matching(FAKE, REAL)) == pytest.approx(naive)
    # Another order, and other images of the same mean, cost nothing.
    mixed = [torch.stack([f[2], f[0] + 0.5, f[1] - 0.5]) for f in FAKE]
    assert float(mean_feature_matching(mixed, FAKE)) == pytest.approx(0, abs=1e-12)


def test_pairs_are_compared_one_by_one() -> None:
    shifted = [f + shift for f, shift in zip(FAKE, (0.5, -2.0), strict=True)]
    assert float(paired_feature_matching(shifted, FAKE)) == pytest.approx(2.5)
    assert float(paired_feature_matching([f.flip(0) for f in FAKE], FAKE)) > 0.1


def test_only_the_generated_side_gets_a_gradient() -> None:
    for loss in (mean_feature_matching, paired_feature_matching):
        fake, real = FAKE[1].clone().requires_grad_(True), torch.zeros(3, 6, requires_grad=True)
        loss([fake], [real]).backward()
        assert fake.grad is not None
        assert fake.grad.any()
        assert real.grad is None


def test_layers_that_do_not_correspond_are_refused() -> None:
    for fake, real in ((FAKE, REAL[:1]), (FAKE, REAL[::-1]), ([], [])):
        with pytest.raises(UsageError, match="correspond"):
            mean_feature_matching(fake, real)
