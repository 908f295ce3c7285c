"""Who moves which networks, and with which optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from medgan_core.errors import ModelError
from medgan_core.training.optimisers.acgd import ACGD
from medgan_core.training.optimisers.conjugate import ConjugateGradient


@dataclass(frozen=True, kw_only=True)
class Player:
    """One side of a training: most systems have one, adversarial ones have two.

    Args:
        name: as `Recipe.loss` is asked for it.
        networks: names of those it moves; the others stand still during its step.
        optimiser: a key of `OPTIMISERS`.
        against: names of the opponent's networks, for ``acgd``, which moves both at once: the player
            minimises its loss and the opponent maximises it.
        rate: times the recipe's learning rate.
        betas: decay of the optimiser's moments.
        steps: per update of the run, each on a batch of its own.
        phase: share of the run from which on it moves, and at which it stops, for trainings in stages.
        options: of the optimiser, by the names of its arguments.
    """

    name: str
    networks: tuple[str, ...]
    optimiser: str = "adamw"
    against: tuple[str, ...] = ()
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    steps: int = 1
    phase: tuple[float, float] = (0.0, 1.0)
    options: Mapping[str, Any] = field(default_factory=dict)


Parameters = list[nn.Parameter]


def _adamw(player: Player, own: Parameters, _: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(own, lr=lr, weight_decay=1e-4, betas=player.betas, **player.options)


def _adam(player: Player, own: Parameters, _: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(own, lr=lr, betas=player.betas, **player.options)


def _rmsprop(player: Player, own: Parameters, _: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(own, lr=lr, alpha=player.betas[1], **player.options)


def _conjugate(player: Player, own: Parameters, _: Parameters, lr: float) -> torch.optim.Optimizer:
    return ConjugateGradient(own, lr=lr, **player.options)


def _acgd(player: Player, own: Parameters, against: Parameters, lr: float) -> torch.optim.Optimizer:
    return ACGD(own, against, lr=lr, **player.options)


OPTIMISERS: dict[str, Callable[[Player, Parameters, Parameters, float], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "rmsprop": _rmsprop,
    "conjugate": _conjugate,
    "acgd": _acgd,
}


def build_optimiser(
    player: Player, own: Parameters, against: Parameters, *, lr: float
) -> torch.optim.Optimizer:
    """The optimiser a player names.

    Raises:
        ModelError: when there is none of that name.
    """
    if player.optimiser not in OPTIMISERS:
        raise ModelError(
            f"The player {player.name!r} names an unknown optimiser",
            expected="one of " + ", ".join(OPTIMISERS),
            got=player.optimiser,
        )
    return OPTIMISERS[player.optimiser](player, own, against, lr)
