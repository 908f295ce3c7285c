from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.losses.adversarial import OBJECTIVES, game_value
from medgan_core.losses.penalties import zero_centred_penalty
from medgan_core.training.optimisers.acgd import ACGD

LR, DECAY, EPS = 0.2, 0.9, 1e-3
MATRIX = torch.tensor([[1.0, 2.0, 0.3], [-0.5, 1.0, -1.2]], dtype=torch.float64)


def start() -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Two players of two tensors each: x of 2 + 1 numbers, y of 3 + 1."""
    values = ([[0.4, -0.7], [0.9]], [[0.5, 0.3, -0.6], [-0.8]])
    x, y = ([nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in side] for side in values)
    return x, y


def game(x: list[Tensor], y: list[Tensor]) -> Tensor:
    """Neither linear nor separable."""
    mixed = torch.tanh(x[0]) @ MATRIX @ torch.sin(y[0]) + 2 * x[1] @ (y[1] * y[0][:1])
    return mixed + (x[0] ** 2).sum() * y[1].sum() + 0.3 * (x[1] ** 4).sum() - 0.2 * (y[0] ** 2).sum()


def dense(x: Tensor, y: Tensor, moments: list[Tensor], number: int, penalty: float) -> list[Tensor]:
    """Both players' steps by the published formulas, each from a dense solve of its own."""

    def value(x: Tensor, y: Tensor) -> Tensor:
        return game([x[:2], x[2:]], [y[:3], y[3:]])

    gx, gy = torch.autograd.functional.jacobian(value, (x, y))
    gy = gy - 2 * penalty * y
    mixed = torch.autograd.functional.hessian(value, (x, y))[0][1]
    roots = []
    for n, g in enumerate((gx, gy)):
        moments[n] = DECAY * moments[n] + (1 - DECAY) * g**2
        unbiased = moments[n] / (1 - DECAY**number)
        roots.append(torch.diag((LR / (unbiased.sqrt() + EPS)).sqrt()))
    rx, ry = roots
    ax, ay = rx @ rx, ry @ ry
    sx = torch.eye(3, dtype=torch.float64) + rx @ mixed @ ay @ mixed.T @ rx
    sy = torch.eye(4, dtype=torch.float64) + ry @ mixed.T @ ax @ mixed @ ry
    dx = -rx @ torch.linalg.solve(sx, rx @ (gx + mixed @ ay @ gy))
    dy = ry @ torch.linalg.solve(sy, ry @ (gy - mixed.T @ ax @ gx))
    return [x + dx, y + dy]


@pytest.mark.parametrize("penalty", [0.0, 0.4])
def test_steps_equal_dense_solves_for_both_players(penalty: float) -> None:
    x, y = start()
    optimiser = ACGD(x, y, lr=LR, decay=DECAY, eps=EPS, tolerance=1e-12)
    reference = [torch.cat([p.detach() for p in side]) for side in (x, y)]
    moments = [torch.zeros_like(r) for r in reference]
    for number in range(1, 6):
        own = penalty * sum((p**2).sum() for p in y) if penalty else None
        step = optimiser.step(game(x, y), penalty=own)  # type: ignore[arg-type]
        assert step.kind == "competitive"
        reference = dense(*reference, moments, number, penalty)
        for side, wanted in zip((x, y), reference, strict=True):
            torch.testing.assert_close(torch.cat([p.detach() for p in side]), wanted, rtol=1e-9, atol=1e-11)
    assert (optimiser.solves, optimiser.fallbacks, optimiser.skipped) == (5, 0, 0)


def test_a_bilinear_game_converges_where_simultaneous_descent_diverges() -> None:
    matrix = MATRIX[:, :2]

    def distance(move: Callable[[Tensor, Tensor], None], x: Tensor, y: Tensor) -> float:
        for _ in range(300):
            move(x, y)
        return float(torch.cat([x, y]).detach().norm())

    def players() -> tuple[nn.Parameter, nn.Parameter]:
        begin = torch.tensor([[1.0, -0.5], [0.3, 0.7]], dtype=torch.float64)
        return nn.Parameter(begin[0]), nn.Parameter(begin[1])

    def simultaneous(x: Tensor, y: Tensor) -> None:
        gx, gy = torch.autograd.grad(x @ matrix @ y, (x, y))
        x.data.sub_(0.1 * gx)
        y.data.add_(0.1 * gy)

    def competitive(x: Tensor, y: Tensor) -> None:
        optimiser.step(x @ matrix @ y)

    x, y = players()
    optimiser = ACGD([x], [y], lr=0.1, tolerance=1e-8)
    assert distance(competitive, x, y) < 1e-3
    assert optimiser.fallbacks == 0
    assert distance(simultaneous, *players()) > 10


def test_an_unfinished_solve_falls_back_to_the_plain_adaptive_step_and_is_counted() -> None:
    x, y = start()
    before = [p.detach().clone() for p in x + y]
    gradients = torch.autograd.grad(game(x, y), x + y)
    optimiser = ACGD(x, y, lr=LR, decay=DECAY, eps=EPS, iterations=1, tolerance=1e-12)
    assert optimiser.step(game(x, y)).kind == "plain"
    for n, (p, b, g) in enumerate(zip(x + y, before, gradients, strict=True)):
        # At the first step the unbiased second moment is the squared gradient.
        wanted = b + (-1 if n < 2 else 1) * LR * g / (g.abs() + EPS)
        torch.testing.assert_close(p.detach(), wanted)
    assert (optimiser.solves, optimiser.fallbacks) == (0, 1)


class _NoSecondDerivative(torch.autograd.Function):
    """The identity, whose gradient is right and whose second derivative is not a number."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _NotANumberBehind.apply(gradients[0])  # type: ignore[no-untyped-call,no-any-return]


class _NotANumberBehind(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * float("nan")


def test_a_solve_that_is_not_finite_falls_back_and_leaves_no_trace() -> None:
    x, y = start()
    optimiser = ACGD(x, y, lr=LR)
    value = game([_NoSecondDerivative.apply(p) for p in x], y)  # type: ignore[no-untyped-call]
    assert optimiser.step(value).kind == "plain"
    assert all(bool(p.isfinite().all()) for p in x + y)
    assert optimiser.step(game(x, y)).kind == "competitive"
    assert (optimiser.solves, optimiser.fallbacks, optimiser.skipped) == (1, 1, 0)


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    x, y = start()
    optimiser = ACGD(x, y, lr=LR)
    before = [p.detach().clone() for p in x + y]
    assert optimiser.step(game(x, y) + float("nan") * x[0].sum()).kind == "none"
    assert all(torch.equal(p, b) for p, b in zip(x + y, before, strict=True))
    assert optimiser.step(game(x, y)).kind == "competitive"
    assert (optimiser.solves, optimiser.fallbacks, optimiser.skipped) == (1, 0, 1)


def test_players_that_do_not_meet_take_their_own_steps() -> None:
    x, y = start()
    before = x[0].detach().clone()
    optimiser = ACGD(x, y, lr=LR, eps=EPS)
    assert optimiser.step((x[0] ** 2).sum() + x[1].sum() - (y[0] ** 2).sum()).kind == "competitive"
    torch.testing.assert_close(x[0].detach(), before - LR * 2 * before / (2 * before.abs() + EPS))
    assert y[1].item() == -0.8


def small_gan() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(3, 16),
        nn.Unflatten(1, (4, 2, 2)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 1, 3, padding=1),
    )
    norm = torch.nn.utils.parametrizations.spectral_norm
    discriminator = nn.Sequential(
        norm(nn.Conv2d(1, 4, 3, padding=1)), nn.LeakyReLU(0.2), nn.Flatten(), norm(nn.Linear(64, 1))
    )
    return generator, discriminator


def train(pair: tuple[nn.Module, nn.Module], optimiser: ACGD, numbers: range) -> None:
    generator, discriminator = pair
    for number in numbers:
        source = torch.Generator().manual_seed(number)
        real = 0.3 * torch.randn(8, 1, 4, 4, generator=source) + 1
        fake = generator(torch.randn(8, 3, generator=source))
        value = game_value(OBJECTIVES["bounded"], discriminator(real), discriminator(fake))
        optimiser.step(value, penalty=0.1 * zero_centred_penalty(discriminator, real))


def test_networks_with_spectral_norm_are_solved_for_in_single_precision() -> None:
    pair = small_gan()
    optimiser = ACGD(pair[0].parameters(), pair[1].parameters(), lr=4e-3)
    train(pair, optimiser, range(60))
    assert optimiser.solves > 55
    with torch.no_grad():
        made = pair[0](torch.randn(200, 3, generator=torch.Generator().manual_seed(0)))
    assert float(made.mean()) == pytest.approx(1.0, abs=0.3)


def test_stopping_and_resuming_gives_what_not_stopping_gives() -> None:
    whole = small_gan()
    train(whole, ACGD(whole[0].parameters(), whole[1].parameters(), lr=1e-3), range(6))
    cut = small_gan()
    first = ACGD(cut[0].parameters(), cut[1].parameters(), lr=1e-3)
    train(cut, first, range(3))
    kept = copy.deepcopy(first.state_dict())
    for entries in kept["state"].values():
        assert all(isinstance(v, Tensor | int) for v in entries.values())
    weights = [copy.deepcopy(network.state_dict()) for network in cut]
    resumed = small_gan()
    for network, state in zip(resumed, weights, strict=True):
        network.load_state_dict(state)
    second = ACGD(resumed[0].parameters(), resumed[1].parameters(), lr=1e-3)
    second.load_state_dict(kept)
    assert second.solves == first.solves == 3
    train(resumed, second, range(3, 6))
    for a, b in zip(whole, resumed, strict=True):
        for key, value in a.state_dict().items():
            assert torch.equal(b.state_dict()[key], value), key
    # What was kept has not changed with the run that went on from it.
    assert kept["state"]["counts"]["competitive"] == 3


@pytest.fixture
def two_processes() -> Iterator[None]:
    """A process group of two, of which this is the first (torch's own back end for tests)."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("two_processes")
def test_several_processes_are_refused() -> None:
    x, y = start()
    with pytest.raises(UsageError, match="2 processes"):
        ACGD(x, y, lr=LR)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"decay": 1.0}, {"iterations": 0}, {"tolerance": 0.0}])
def test_options_that_are_not_valid_are_refused(options: dict[str, Any]) -> None:
    x, y = start()
    with pytest.raises(UsageError, match="not valid"):
        ACGD(x, y, **{"lr": 0.1, **options})
