"""Kullback-Leibler divergence of a diagonal Gaussian from the standard one."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``(mean^2 + exp(s) - s - 1) / 2`` per element, s the log variance, in nats.

    Source: Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.

    Args:
        mean: any shape.
        log_variance: the same shape.

    Returns:
        The same shape, never negative but for rounding.
    """
    # expm1 keeps the digits near the prior, where exp(s) - 1 and s cancel.
    return 0.5 * (mean**2 + torch.expm1(log_variance) - log_variance)


def kl_loss(mean: Tensor, log_variance: Tensor, *, beta: float = 1.0, free_bits: float = 0.0) -> Tensor:
    """The divergence of an image's code times beta, summed over the code and averaged over the batch.

    Sources: beta: Higgins et al., "beta-VAE", ICLR 2017, equation 4. Free bits: Kingma et al., "Improved
    variational inference with inverse autoregressive flow", NeurIPS 2016: an element whose mean
    over the batch is below the threshold costs the threshold and gets no gradient, so it is not switched off.

    Args:
        mean: (n, ...).
        log_variance: the same shape.
        beta: weight.
        free_bits: threshold per element of the code, in nats.

    Returns:
        Scalar, in nats per image; add it to a reconstruction term that is summed over the image as well.
    """
    per_element = gaussian_kl(mean, log_variance).mean(0)
    if free_bits > 0:
        per_element = per_element.clamp(min=free_bits)
    return beta * per_element.sum()
