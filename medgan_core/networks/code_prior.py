"""How probable the values of a quantised code are: what its bits are counted by in training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid


class CodePrior(nn.Module):
    """A logistic distribution for each channel of a code that is rounded to whole numbers.

    ``bits = -sum log2(F(c + 1/2) - F(c - 1/2))`` with the distribution function F of the channel. Source:
    Ballé et al., "End-to-end optimized image compression", ICLR 2017, equations 10 and 11, with a logistic in
    place of their piecewise density. Codes with uniform noise of one step give the rate to train by, rounded
    ones the bits that an ideal entropy coder with these probabilities needs.

    Args:
        channels: of the code, which is a vector or a grid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, code: Tensor) -> Tensor:
        """Bits of each code (n, channels, ...), (n,)."""
        shape = (1, -1, *(1,) * (code.ndim - 2))
        mean, width = self.mean.reshape(shape), torch.exp(-self.log_scale).reshape(shape)
        upper, lower = (code - mean + 0.5) * width, (code - mean - 0.5) * width
        # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)), which keeps its digits far from the mean.
        nats = -(logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-width)))
        return nats.flatten(1).sum(1) / math.log(2)
