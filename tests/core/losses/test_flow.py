from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.losses.flow import TIMES, flow_batch, flow_matching_loss
from medgan_core.networks.flow_sampling import follow_flow


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def growth(points: Tensor, times: Tensor) -> Tensor:
    """``dx/dt = x cos t``, whose solution is ``x(0) exp(sin t)``."""
    return points * torch.cos(times)[:, None, None, None]


@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (3, 2, 4, 4, 4)])
def test_points_lie_on_the_straight_line_and_velocities_lead_along_it(shape: tuple[int, ...]) -> None:
    images, noise = torch.randn(shape, generator=seeded()), torch.randn(shape, generator=seeded(1))
    batch = flow_batch(images, noise, torch.tensor([0.0, 1.0, 0.25]))
    torch.testing.assert_close(batch.points[0], noise[0])
    torch.testing.assert_close(batch.points[1], images[1])
    torch.testing.assert_close(batch.points[2] + 0.75 * batch.velocities[2], images[2])


def test_the_loss_of_an_image_set_with_one_member_is_known() -> None:
    # With one image c, the best velocity is (c - x) / (1 - t), and it is exact.
    image = torch.full((512, 1, 2, 2), 0.5)

    def best(x: Tensor, t: Tensor) -> Tensor:
        return (0.5 - x) / (1 - t)[:, None, None, None].clamp(min=1e-3)

    assert float(flow_matching_loss(best, image, generator=seeded())) == pytest.approx(0, abs=1e-4)
    # Standing still costs E (c - n)^2 = c^2 + 1.
    still = flow_matching_loss(lambda x, _: torch.zeros_like(x), image, generator=seeded())
    assert float(still) == pytest.approx(1.25, abs=0.1)


def test_the_best_velocity_between_gaussians_beats_its_neighbours() -> None:
    # Images of deviation s: E[X1 - X0 | X_t] = (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2) X_t.
    s = 0.5
    images = s * torch.randn(20_000, 1, 1, 1, generator=seeded(2))

    def loss(gain: float) -> float:
        def velocity(x: Tensor, t: Tensor) -> Tensor:
            factor = (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2)
            return gain * factor[:, None, None, None] * x

        return float(flow_matching_loss(velocity, images, generator=seeded()))

    assert loss(1.0) < min(loss(0.9), loss(1.1))


@pytest.mark.parametrize("name", sorted(TIMES))
def test_times_are_within_the_way_and_half_way_on_average(name: str) -> None:
    times = TIMES[name](torch.rand(20_000, generator=seeded()))
    assert float(times.min()) >= 0
    assert float(times.max()) <= 1
    assert float(times.mean()) == pytest.approx(0.5, abs=0.01)


def test_times_follow_their_distributions() -> None:
    numbers = torch.rand(16, generator=seeded())
    assert torch.equal(TIMES["uniform"](numbers), numbers)
    strata = (16 * TIMES["stratified"](numbers)).floor()
    assert sorted(strata.tolist()) == list(range(16))
    logit = torch.logit(TIMES["logit-normal"](torch.rand(20_000, generator=seeded())))
    assert float(logit.mean()) == pytest.approx(0, abs=0.03)
    assert float(logit.std()) == pytest.approx(1, abs=0.03)


def test_each_stratified_time_is_evenly_distributed() -> None:
    first = torch.stack([TIMES["stratified"](torch.rand(4, generator=seeded(s)))[3] for s in range(2000)])
    counts = torch.histc(first, bins=4, min=0, max=1)
    assert float((counts - 500).abs().max()) < 100


def test_a_straight_way_takes_one_step() -> None:
    noise, change = torch.randn(2, 1, 4, 4, generator=seeded()), torch.randn(2, 1, 4, 4)
    for method in ("euler", "heun"):
        got = follow_flow(lambda x, t: change, noise, steps=1, method=method)
        torch.testing.assert_close(got, noise + change)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_integrators_have_their_order(method: str, order: int) -> None:
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    exact = math.exp(math.sin(1.0))
    errors = [
        abs(float(follow_flow(growth, start, steps=steps, method=method)) - exact) for steps in (16, 32)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_the_way_back_leads_to_the_noise() -> None:
    noise = torch.randn(2, 1, 3, 3, generator=seeded(), dtype=torch.float64)
    images = follow_flow(growth, noise, steps=64)
    back = follow_flow(growth, images, steps=64, start=1.0, stop=0.0)
    torch.testing.assert_close(back, noise, rtol=1e-3, atol=1e-3)


def test_unknown_integrators_and_no_steps_are_refused() -> None:
    for steps, method in ((0, "heun"), (4, "leapfrog")):
        with pytest.raises(UsageError):
            follow_flow(growth, torch.zeros(1, 1, 1, 1), steps=steps, method=method)
