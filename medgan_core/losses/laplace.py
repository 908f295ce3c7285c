"""Likelihood of a Laplace distribution, whose scale is the expected absolute error."""

from __future__ import annotations

import torch
from torch import Tensor


def laplace_nll(residual: Tensor, log_scale: Tensor, *, floor: float = -5.0) -> Tensor:
    """``|r| exp(-s) + s``: negative log-likelihood of a Laplace distribution without its constant.

    Its minimum over s is at ``s = log E|r|`` (Kendall & Gal, "What uncertainties do we need", NeurIPS 2017,
    with an L1 norm), so ``exp(s)`` predicts the expected absolute error.

    Args:
        residual: prediction minus truth, any shape.
        log_scale: s, same shape.
        floor: smallest s, so that perfect voxels (air) do not dominate.

    Returns:
        Loss per element, same shape.
    """
    s = log_scale.clamp(min=floor)
    return residual.abs() * torch.exp(-s) + s
