from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.training.optimisers.conjugate import ConjugateGradient

CURVATURE = torch.tensor([1.0, 2.0], dtype=torch.float64)


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def descend(optimiser: ConjugateGradient, place: nn.Parameter, steps: int) -> list[Tensor]:
    """Steps on ``(x0^2 + 2 x1^2) / 2``."""
    places = []
    for _ in range(steps):
        optimiser.zero_grad()
        (0.5 * CURVATURE * place**2).sum().backward()
        optimiser.step()
        places.append(place.detach().clone())
    return places


# From (1, 1) with lr 0.1: g = (1, 2), x = (0.9, 0.8), g = (0.9, 1.6). beta is 3.37 / 5 = 0.674 for
# Fletcher-Reeves and -0.73 / 5 = -0.146 for Polak-Ribiere.
@pytest.mark.parametrize(
    ("beta", "cap", "second"),
    [
        ("fletcher-reeves", 0.9, (0.7426, 0.5052)),
        ("fletcher-reeves", 0.5, (0.76, 0.54)),
        ("fletcher-reeves", 0.0, (0.81, 0.64)),
        ("polak-ribiere", 0.9, (0.8246, 0.6692)),
        ("polak-ribiere", 0.1, (0.82, 0.66)),
        ("polak-ribiere-plus", 0.9, (0.81, 0.64)),
    ],
)
def test_the_first_steps_are_those_computed_by_hand(
    beta: str, cap: float, second: tuple[float, float]
) -> None:
    place = parameter(1.0, 1.0)
    places = descend(ConjugateGradient([place], lr=0.1, beta=beta, cap=cap), place, 2)
    torch.testing.assert_close(places[0], torch.tensor([0.9, 0.8], dtype=torch.float64))
    torch.testing.assert_close(places[1], torch.tensor(second, dtype=torch.float64))


@pytest.mark.parametrize("beta", ["fletcher-reeves", "polak-ribiere", "polak-ribiere-plus"])
def test_exact_steps_solve_a_quadratic_in_as_many_as_it_has_dimensions(beta: str) -> None:
    place = parameter(1.0, 1.0)
    optimiser = ConjugateGradient([place], lr=5 / 9, beta=beta, cap=0.9)
    descend(optimiser, place, 1)
    # g = (4, -2) / 9 and beta = 4 / 81, so d = -g - 4/81 (1, 2) and the exact step is -(d.g) / (d.H d).
    gradient = CURVATURE * place.detach()
    direction = -gradient + 4 / 81 * torch.tensor([-1.0, -2.0], dtype=torch.float64)
    optimiser.param_groups[0]["lr"] = float(-direction.dot(gradient) / (CURVATURE * direction**2).sum())
    descend(optimiser, place, 1)
    torch.testing.assert_close(place.detach(), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


def feed(optimiser: ConjugateGradient, place: nn.Parameter, *gradients: float) -> list[float]:
    """The directions taken for given gradients of one number (lr is 1)."""
    taken = []
    for gradient in gradients:
        before = float(place.detach())
        place.grad = torch.full_like(place, gradient)
        optimiser.step()
        taken.append(float(place.detach()) - before)
    return taken


def test_a_direction_that_would_climb_starts_anew() -> None:
    place = parameter(0.0)
    optimiser = ConjugateGradient([place], lr=1.0, beta="fletcher-reeves", cap=0.9)
    # Third: 1 - 0.9 * 1.9 < 0 would climb along the gradient -1.
    assert feed(optimiser, place, 1.0, 1.0, -1.0) == pytest.approx([-1.0, -1.9, 1.0])


def test_a_gradient_of_zero_does_no_harm() -> None:
    place = parameter(0.0)
    optimiser = ConjugateGradient([place], lr=1.0, beta="fletcher-reeves", cap=0.5)
    assert feed(optimiser, place, 1.0, 0.0, 2.0) == pytest.approx([-1.0, 0.0, -2.0])


def test_directions_stay_bounded_whatever_the_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    place = parameter(*[0.0] * 5)
    for beta in ("fletcher-reeves", "polak-ribiere", "polak-ribiere-plus"):
        optimiser = ConjugateGradient([place], lr=1.0, beta=beta, cap=0.8)
        for _ in range(200):
            gradient = torch.randn(5, generator=generator, dtype=torch.float64)
            place.grad = gradient / gradient.norm()
            before = place.detach().clone()
            optimiser.step()
            assert float((place.detach() - before).norm()) <= 1 / (1 - 0.8) + 1e-9


def test_one_beta_serves_a_group_and_parameters_without_gradient_stand_still() -> None:
    whole = parameter(1.0, 1.0)
    wanted = descend(ConjugateGradient([whole], lr=0.1, beta="fletcher-reeves", cap=0.9), whole, 3)[-1]
    parts, still = [parameter(1.0), parameter(1.0)], parameter(3.0)
    optimiser = ConjugateGradient([*parts, still], lr=0.1, beta="fletcher-reeves", cap=0.9)
    for _ in range(3):
        optimiser.zero_grad()
        (0.5 * CURVATURE * torch.cat(parts) ** 2).sum().backward()
        optimiser.step()
    torch.testing.assert_close(torch.cat(parts).detach(), wanted)
    assert still.item() == 3.0


def test_stopping_and_resuming_gives_what_not_stopping_gives() -> None:
    whole = parameter(1.0, 1.0)
    wanted = descend(ConjugateGradient([whole], lr=0.1, beta="fletcher-reeves"), whole, 6)
    cut = parameter(1.0, 1.0)
    first = ConjugateGradient([cut], lr=0.1, beta="fletcher-reeves")
    descend(first, cut, 3)
    kept = copy.deepcopy(first.state_dict())
    assert all(isinstance(v, Tensor) for v in kept["state"][0].values())
    resumed = parameter(*cut.tolist())
    second = ConjugateGradient([resumed], lr=0.1, beta="fletcher-reeves")
    second.load_state_dict(kept)
    assert torch.equal(descend(second, resumed, 3)[-1], wanted[-1])


@pytest.mark.parametrize("options", [{"beta": "newton"}, {"cap": 1.0}, {"cap": -0.1}, {"lr": -1.0}])
def test_options_that_are_not_valid_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ConjugateGradient([parameter(1.0)], **{"lr": 0.1, **options})  # type: ignore[arg-type]
