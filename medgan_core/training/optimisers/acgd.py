"""Adaptive competitive gradient descent: each player's step answers the other's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.training.optimisers.linear import conjugate_gradients
from medgan_core.training.optimisers.vectors import flat, split

COMPETITIVE, PLAIN, NONE = "competitive", "plain", "none"


@dataclass(frozen=True)
class Step:
    """How a step came about.

    Args:
        kind: ``competitive``; ``plain`` when the solve failed; ``none`` when a gradient was not finite.
        iterations: of the linear solve.
        residual: of the linear solve, as a share of its right-hand side.
    """

    kind: str
    iterations: int = 0
    residual: float = 0.0


class ACGD(torch.optim.Optimizer):
    """One zero-sum objective f(x, y): x minimises it, y maximises it, both move at once.

    The steps are the equilibrium of the game that is bilinear in them, with a quadratic cost of moving::

        dx = -A_x^(1/2) (I + A_x^(1/2) D_xy A_y D_yx A_x^(1/2))^-1 A_x^(1/2) (g_x + D_xy A_y g_y)
        dy =  A_y (g_y + D_yx dx)

    ``g`` are gradients of f, ``D_xy`` its mixed second derivatives, and ``A = lr / (sqrt(v) + eps)`` the step
    sizes of RMSprop with Adam's bias correction. As f is one function, D_yx is the transpose of D_xy and the
    matrix is symmetric positive definite, so conjugate gradients solve it, by Hessian-vector products alone.
    The solve starts from the last solution. Only x's system is solved; y's step follows from x's, as the
    answer that is best against it.

    Where the solve has not converged when its iterations are spent, or is not finite, the step is the plain
    one of both players, ``dx = -A_x g_x`` and ``dy = A_y g_y``, and `fallbacks` counts it. Where a gradient
    is not finite, nothing moves, and `skipped` counts it.

    f needs fp32: under autocast to 16 bits D_yx is no more the transpose of D_xy, and the solve does not
    converge. Every operation between f and the parameters must be twice differentiable.

    Sources: Schaefer & Anandkumar, "Competitive gradient descent", NeurIPS 2019, equation 4 (the steps);
    Schaefer, Zheng & Anandkumar, "Implicit competitive regularization in GANs", ICML 2020, algorithm 1
    (ACGD).

    Args:
        minimiser: parameters x (of the generator, when f is the value of the game).
        maximiser: parameters y (of the discriminator).
        lr: of both; each player's is in its own entry of `param_groups`, minimiser first.
        decay: of the second moments v.
        eps: added to the square root of v.
        iterations: cap of the linear solve; each costs two Hessian-vector products.
        tolerance: residual, as a share of the right-hand side, at which the solve has converged.

    Raises:
        UsageError: on an option that is not valid, or when training runs in several processes.
    """

    def __init__(
        self,
        minimiser: Iterable[Tensor],
        maximiser: Iterable[Tensor],
        *,
        lr: float,
        decay: float = 0.99,
        eps: float = 1e-5,
        iterations: int = 20,
        tolerance: float = 1e-3,
    ) -> None:
        if not (lr >= 0 and 0 <= decay < 1 and eps > 0 and iterations >= 1 and tolerance > 0):
            raise UsageError(
                "An option of the competitive step is not valid",
                expected="lr >= 0, decay in [0, 1), eps > 0, iterations >= 1, tolerance > 0",
                got=f"lr {lr}, decay {decay}, eps {eps}, iterations {iterations}, tolerance {tolerance}",
            )
        _refuse_several_processes()
        sides = [{"params": [p for p in side if p.requires_grad]} for side in (minimiser, maximiser)]
        super().__init__(sides, {"lr": lr})
        self.decay, self.eps = decay, eps
        self.iterations, self.tolerance = iterations, tolerance
        self.last = Step(NONE)

    @property
    def solves(self) -> int:
        """Steps that were competitive."""
        return self._counts[COMPETITIVE]

    @property
    def fallbacks(self) -> int:
        """Steps that were plain, because the solve had not converged."""
        return self._counts[PLAIN]

    @property
    def skipped(self) -> int:
        """Steps not taken, because a gradient was not finite."""
        return self._counts[NONE]

    def step(self, value: Tensor, *, penalty: Tensor | None = None) -> Step:  # type: ignore[override]
        """Move both players.

        Args:
            value: f, a scalar with its graph; no ``backward`` has been called on it.
            penalty: sum of the penalties (gradient penalties, say) that belong to one player alone, so are no
                part of f. Both players descend it; the matrix does not know it.

        Returns:
            How the step came about; also kept as `last`.

        Raises:
            UsageError: when training runs in several processes.
        """
        _refuse_several_processes()
        x, y = (group["params"] for group in self.param_groups)
        mixed = _Mixed(value, x, y)
        down_x, down_y = mixed.gradient_x.detach(), -mixed.gradient_y.detach()
        if penalty is not None:
            down_x = down_x + _gradient(penalty, x)
            down_y = down_y + _gradient(penalty, y)
        if down_x.isfinite().all() and down_y.isfinite().all():
            root_x, root_y = (self._root_of_step_sizes(n, d) for n, d in enumerate((down_x, down_y)))
            dx, dy, self.last = self._solve(mixed, down_x, down_y, root_x, root_y)
            with torch.no_grad():
                for p, d in zip(x + y, split(dx, x) + split(dy, y), strict=True):
                    p.add_(d)
        else:
            self.last = Step(NONE)
        counts = self._counts
        # A new dictionary: the one before may be part of a kept state.
        counts[self.last.kind] += 1
        self.state["counts"] = counts  # type: ignore[index]
        return self.last

    @property
    def _counts(self) -> dict[str, int]:
        kept: dict[str, int] = self.state.get("counts", {})  # type: ignore[call-overload]
        return {kind: int(kept.get(kind, 0)) for kind in (COMPETITIVE, PLAIN, NONE)}

    def _solve(
        self, mixed: _Mixed, down_x: Tensor, down_y: Tensor, root_x: Tensor, root_y: Tensor
    ) -> tuple[Tensor, Tensor, Step]:
        """Steps of x and of y; the roots are A_x^(1/2) and A_y^(1/2)."""
        x = self.param_groups[0]["params"]

        def product(v: Tensor) -> Tensor:
            return v + root_x * mixed.xy(root_y**2 * mixed.yx(root_x * v))

        found = conjugate_gradients(
            product,
            root_x * (down_x - mixed.xy(root_y**2 * down_y)),
            start=flat(self.state[p]["solution"] for p in x),
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        dx = -root_x * found.value
        dy = root_y**2 * (mixed.yx(dx) - down_y)
        finite = bool(dx.isfinite().all() and dy.isfinite().all())
        # What has not converged is still a better start for the next solve than none.
        start = found.value if finite else torch.zeros_like(found.value)
        for p, part in zip(x, split(start, x), strict=True):
            self.state[p]["solution"] = part.clone()
        if finite and found.residual <= self.tolerance:
            return dx, dy, Step(COMPETITIVE, found.iterations, found.residual)
        plain = Step(PLAIN, found.iterations, found.residual)
        return -(root_x**2) * down_x, -(root_y**2) * down_y, plain

    def _root_of_step_sizes(self, side: int, gradient: Tensor) -> Tensor:
        """A^(1/2) of one player, after its second moments have seen the gradient of this step."""
        group, sizes = self.param_groups[side], []
        correction = 1 - self.decay ** (self.solves + self.fallbacks + 1)
        for p, g in zip(group["params"], split(gradient, group["params"]), strict=True):
            state = self.state[p]
            if not state:
                state["moment"] = torch.zeros_like(g)
                if side == 0:
                    state["solution"] = torch.zeros_like(g)
            state["moment"] = torch.lerp(g * g, state["moment"], self.decay)
            unbiased = state["moment"] / correction
            sizes.append((group["lr"] / (unbiased.sqrt() + self.eps)).sqrt())
        return flat(sizes)


class _Mixed:
    """Products with the mixed second derivatives of f, of vectors over all parameters of a player."""

    def __init__(self, value: Tensor, x: Sequence[Tensor], y: Sequence[Tensor]) -> None:
        self._x, self._y = x, y
        both = torch.autograd.grad(
            value, (*x, *y), create_graph=True, allow_unused=True, materialize_grads=True
        )
        self.gradient_x, self.gradient_y = flat(both[: len(x)]), flat(both[len(x) :])

    def xy(self, v: Tensor) -> Tensor:
        """``D_xy v``: v over y, the product over x."""
        return _gradient(self.gradient_y, self._x, v)

    def yx(self, v: Tensor) -> Tensor:
        """``D_yx v``: v over x, the product over y."""
        return _gradient(self.gradient_x, self._y, v)


def _gradient(value: Tensor, parameters: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
    """Gradient of a scalar, or of a vector weighted by another; 0 where it does not depend on a parameter."""
    if not value.requires_grad:
        return torch.zeros_like(flat(p.detach() for p in parameters))
    return flat(
        torch.autograd.grad(
            value,
            parameters,
            weight,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    )


def _refuse_several_processes() -> None:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise UsageError(
            "Competitive gradient descent solves for the whole of both networks in one process",
            expected="one process",
            got=f"{distributed.get_world_size()} processes",
            action="train this recipe without torchrun, or choose another optimiser",
        )
