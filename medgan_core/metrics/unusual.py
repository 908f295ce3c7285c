"""How far an image is from what a network restored of it, measured by the error to expect."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Direction = Literal["brighter", "darker", "both"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_SIGMA = 1.5
_SIGN = {"brighter": 1.0, "darker": -1.0}


def unusual(image: Tensor, restored: Tensor, log_scale: Tensor, direction: Direction) -> Tensor:
    """The blurred difference, in multiples of what the network expects it to be.

    At the folds of the cortex a network is unsure, so the same difference says less there than in white
    matter; what is alone or changes its sign from pixel to pixel is noise.

    Args:
        image: (n, 1, h, w).
        restored: the same shape.
        log_scale: the same shape, logarithm of the expected absolute difference.
        direction: ``brighter`` and ``darker`` count where the image is that, ``both`` counts either.

    Returns:
        (n, 1, h, w), not negative; blurred in plane by a Gaussian of 1.5 pixels.
    """
    difference = _blurred((image - restored) * torch.exp(-log_scale))
    return difference.abs() if direction == "both" else (_SIGN[direction] * difference).clamp(min=0)


def _blurred(image: Tensor) -> Tensor:
    reach = math.ceil(3 * _SIGMA)
    places = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    taps = torch.exp(-0.5 * (places / _SIGMA) ** 2)
    taps = taps / taps.sum()
    padded = functional.pad(image, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, taps.view(1, 1, -1, 1))
    return functional.conv2d(rows, taps.view(1, 1, 1, -1))
