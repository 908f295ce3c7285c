from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.losses.adversarial import OBJECTIVES, game_value

REAL, FAKE = torch.tensor([0.5, -1.5, 2.0]), torch.tensor([-0.25, 1.25])


def log_sigmoid(t: float) -> float:
    return math.log(1 / (1 + math.exp(-t)))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


# By hand, from the equations: (loss of the discriminator, loss of the generator).
BY_HAND = {
    "minimax": (
        -mean([log_sigmoid(r) for r in REAL.tolist()]) - mean([log_sigmoid(-f) for f in FAKE.tolist()]),
        mean([log_sigmoid(-f) for f in FAKE.tolist()]),
    ),
    "non-saturating": (
        -mean([log_sigmoid(r) for r in REAL.tolist()]) - mean([log_sigmoid(-f) for f in FAKE.tolist()]),
        -mean([log_sigmoid(f) for f in FAKE.tolist()]),
    ),
    "least-squares": (
        (0.25 + 6.25 + 1.0) / 6 + (0.0625 + 1.5625) / 4,
        (1.5625 + 0.0625) / 4,
    ),
    "hinge": ((0.5 + 2.5 + 0.0) / 3 + (0.75 + 2.25) / 2, -0.5),
    "wasserstein": (0.5 - 1 / 3, -0.5),
    "bounded": (-(1 / 3 + 0.5), 0.5),
}


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_losses_have_the_values_of_their_equations(name: str) -> None:
    objective = OBJECTIVES[name]
    discriminator, generator = BY_HAND[name]
    assert float(objective.discriminator(REAL, FAKE)) == pytest.approx(discriminator, rel=1e-6)
    assert float(objective.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_zero_sum_is_said_where_it_holds_and_only_there(name: str) -> None:
    objective = OBJECTIVES[name]
    fake = torch.cat([FAKE, torch.tensor([-3.0])]).requires_grad_(True)  # beyond the margin too
    (against,) = torch.autograd.grad(objective.discriminator(REAL, fake), fake)
    (own,) = torch.autograd.grad(objective.generator(fake), fake)
    assert torch.allclose(own, -against) == objective.zero_sum


def test_the_value_of_the_game_serves_both_players() -> None:
    for objective in OBJECTIVES.values():
        if objective.zero_sum:
            assert game_value(objective, REAL, FAKE) == -objective.discriminator(REAL, FAKE)
    with pytest.raises(UsageError, match="non-saturating"):
        game_value(OBJECTIVES["non-saturating"], REAL, FAKE)


def test_the_bounded_objective_is_the_articles_formula_and_wasserstein_plus_one() -> None:
    value = game_value(OBJECTIVES["bounded"], REAL, FAKE)
    torch.testing.assert_close(value, REAL.mean() + (1 - FAKE).mean())
    torch.testing.assert_close(value, game_value(OBJECTIVES["wasserstein"], REAL, FAKE) + 1)


def test_the_bounded_objective_stays_within_the_distance_of_the_distributions() -> None:
    # Of all 1-Lipschitz functions of a number, the identity tells these two sets apart best.
    real, fake = torch.tensor([0.1, 0.9]), torch.tensor([-0.4, 0.2])
    distance = float((real.sort().values - fake.sort().values).abs().mean())
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        slope, bend = (2 * torch.rand(2, generator=generator) - 1).tolist()

        def critic(x: Tensor, slope: float = slope, bend: float = bend) -> Tensor:
            return slope * (x - bend).abs()

        value = float(game_value(OBJECTIVES["bounded"], critic(real), critic(fake)))
        assert abs(value - 1) <= distance + 1e-6


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_maps_of_patches_count_like_single_outputs_and_stay_finite(name: str) -> None:
    objective = OBJECTIVES[name]
    one = objective.discriminator(REAL, FAKE)
    patches = objective.discriminator(REAL.reshape(3, 1, 1).expand(3, 1, 4), FAKE.reshape(2, 1, 1))
    torch.testing.assert_close(patches, one)
    sure = torch.tensor([1e4, -1e4])
    assert torch.isfinite(objective.discriminator(sure, sure))
    assert torch.isfinite(objective.generator(sure))
