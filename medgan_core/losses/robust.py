"""A loss between L1 and L2."""

from __future__ import annotations

import torch
from torch import Tensor


def charbonnier(residual: Tensor, *, epsilon: float = 0.03) -> Tensor:
    """``sqrt(r^2 + e^2) - e`` per element: quadratic below epsilon, linear above.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms", ICIP 1994.
    """
    return torch.sqrt(residual**2 + epsilon**2) - epsilon
