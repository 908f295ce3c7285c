"""Nonlinear conjugate-gradient directions in place of momentum: the cheap variant for a player of a game."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.training.optimisers.vectors import flat, split


def fletcher_reeves(new: Tensor, old: Tensor) -> Tensor:
    """``g . g / (g' . g')``, g the gradient, g' the one before."""
    return new.dot(new) / old.dot(old)


def polak_ribiere(new: Tensor, old: Tensor) -> Tensor:
    """``g . (g - g') / (g' . g')``; negative where the gradient turned back."""
    return new.dot(new - old) / old.dot(old)


def polak_ribiere_plus(new: Tensor, old: Tensor) -> Tensor:
    """`polak_ribiere`, but never below 0: where it would be, the direction starts anew."""
    return polak_ribiere(new, old).clamp(min=0)


BETAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "fletcher-reeves": fletcher_reeves,
    "polak-ribiere": polak_ribiere,
    "polak-ribiere-plus": polak_ribiere_plus,
}
"""What the last direction counts for, by name; of flat gradients, all parameters of a group together."""


class ConjugateGradient(torch.optim.Optimizer):
    """``d = -g + beta d'``, ``p = p + lr d``, d' the direction before; beta stays within ``[-cap, cap]``.

    No line search: with mini-batches and an opponent there is no function to search along. The cap below 1 is
    what keeps the directions bounded then (their length is at most that of the largest gradient divided by
    ``1 - cap``). Where d would not descend (``d . g >= 0``) or beta is not finite, it starts anew from
    ``-g``.

    Source: Naganuma & Iiduka, "Conjugate gradient method for generative adversarial networks", AISTATS 2023,
    assumption (C2) for the cap; the betas: Nocedal & Wright, "Numerical optimization", section
    5.2. Like there, the state of each player is its own. Here one beta serves all parameters of a group.

    Args:
        params: parameters, or groups of them.
        lr: length of a step along the direction.
        beta: a key of `BETAS`.
        cap: largest size of beta, at least 0 and below 1; 0 is plain gradient descent.

    Raises:
        UsageError: on an option that is not valid.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        beta: str = "polak-ribiere-plus",
        cap: float = 0.5,
    ) -> None:
        if beta not in BETAS:
            raise UsageError(
                f"There is no conjugate-gradient beta {beta!r}",
                expected="one of " + ", ".join(BETAS),
                got=beta,
            )
        if not (lr >= 0 and 0 <= cap < 1):
            raise UsageError(
                "The conjugate-gradient step is not valid",
                expected="lr of at least 0, cap in [0, 1)",
                got=f"lr {lr}, cap {cap}",
            )
        super().__init__(params, {"lr": lr, "beta": beta, "cap": cap})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step with the gradients in ``.grad``; parameters without one stand still.

        Args:
            closure: evaluates the loss and its gradients anew, if given.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            if moving:
                self._move(moving, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradient = flat(p.grad for p in parameters if p.grad is not None)
        direction = -gradient
        if all("gradient" in self.state[p] for p in parameters):
            before = flat(self.state[p]["gradient"] for p in parameters)
            beta = BETAS[group["beta"]](gradient, before).clamp(-group["cap"], group["cap"])
            conjugate = direction + beta * flat(self.state[p]["direction"] for p in parameters)
            # A beta that is not finite makes the product so as well, which then is not below 0.
            if conjugate.dot(gradient) < 0:
                direction = conjugate
        for p, g, d in zip(
            parameters, split(gradient, parameters), split(direction, parameters), strict=True
        ):
            p.add_(d, alpha=group["lr"])
            self.state[p]["gradient"], self.state[p]["direction"] = g.clone(), d.clone()
