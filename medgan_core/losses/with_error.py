"""An image and the error to expect of it, learned together."""

from __future__ import annotations

from torch import Tensor

from medgan_core.losses.laplace import laplace_nll
from medgan_core.losses.robust import charbonnier


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of values where the weight is; 0 where it is nowhere."""
    return (values * weight).sum() / weight.sum().clamp(min=1)


def with_error(
    value: Tensor, log_scale: Tensor, truth: Tensor, weight: Tensor, *, epsilon: float, nll: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Charbonnier loss of an image, and the likelihood that trains its predicted error.

    The likelihood has no gradient for the image: large errors of few voxels would shake it.

    Args:
        value: predicted image, any shape.
        log_scale: log of the expected absolute error, same shape.
        truth: same shape.
        weight: of every voxel, same shape.
        epsilon: residual at which the loss turns from quadratic to linear.
        nll: weight of the likelihood.

    Returns:
        The loss, and ``mae`` and ``nll`` to log.
    """
    residual = value - truth
    error = weighted_mean(charbonnier(residual, epsilon=epsilon), weight)
    likelihood = weighted_mean(laplace_nll(residual.detach(), log_scale), weight)
    mae = weighted_mean(residual.detach().abs(), weight)
    return error + nll * likelihood, {"mae": mae, "nll": likelihood.detach()}
