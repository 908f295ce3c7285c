from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.physics.mixture import Mixture


def test_every_region_has_its_mean_and_spread() -> None:
    mixture = Mixture(torch.tensor([0.0, 0.5, 0.9]), torch.tensor([0.0, 0.05, 0.01]))
    regions = torch.arange(3, dtype=torch.uint8)[:, None, None].repeat(1, 64, 64).clone()
    image = mixture.paint(regions, torch.Generator().manual_seed(0))
    assert float(image[0].abs().max()) == 0
    assert float(image[1].mean()) == pytest.approx(0.5, abs=0.02)
    assert float(image[1].std()) > 2 * float(image[2].std()) > 0


def test_the_scale_is_the_percentile_of_the_head_without_air() -> None:
    mixture = Mixture(torch.tensor([0.9, 0.2, 0.6, 1.0]), torch.zeros(4))
    assert mixture.scale(torch.tensor([1e6, 990.0, 10.0])) == pytest.approx(0.6)
    assert mixture.scale(torch.tensor([1e6, 999.0, 1.0])) == pytest.approx(0.2)


def test_contrasts_are_random_and_air_is_mostly_black() -> None:
    drawn = [Mixture.draw(5, np.random.default_rng(n)) for n in range(200)]
    means = torch.stack([m.mean for m in drawn])
    assert float(means[:, 1:].std()) == pytest.approx(1 / 12**0.5, abs=0.03)
    assert 0.6 < float((means[:, 0] == 0).float().mean()) < 0.8
    assert float(means[:, 0].max()) < 0.2
