"""Structural similarity as a loss."""

from __future__ import annotations

import torch
from torch import Tensor


def ssim_loss(
    a: Tensor, b: Tensor, *, data_range: float = 1.0, window: int = 11, sigma: float = 1.5
) -> Tensor:
    """``1 - SSIM`` per pixel with a Gaussian window (Wang et al. 2004, eq. 13).

    Args:
        a: (n, c, h, w), both sides at least the window.
        b: the same shape.
        data_range: of the intensities.
        window: pixels along a side.
        sigma: of the window, in pixels.

    Returns:
        (n, c, h, w), in [0, 2]; borders use the mirrored image.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    rows = blur_matrix(a.shape[2], window, sigma).to(a)
    columns = blur_matrix(a.shape[3], window, sigma).to(a)
    # Two dense products blur faster than depthwise convolutions, whose fp32 gradients are slow on CPUs.
    smooth = rows @ torch.cat([a, b, a * a, b * b, a * b], dim=1) @ columns.T
    ma, mb, aa, bb, ab = smooth.chunk(5, dim=1)
    va, vb, cov = aa - ma * ma, bb - mb * mb, ab - ma * mb
    ssim = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return 1 - ssim


def blur_matrix(size: int, window: int, sigma: float) -> Tensor:
    """Matrix (size, size) that blurs a signal of that length with a Gaussian, mirrored at its ends."""
    offset = torch.arange(window) - window // 2
    taps = torch.exp(-0.5 * (offset / sigma) ** 2)
    taps = taps / taps.sum()
    place = (torch.arange(size)[:, None] + offset[None]).abs()
    place = torch.where(place >= size, 2 * (size - 1) - place, place)
    return torch.zeros(size, size).scatter_add_(1, place, taps.expand(size, -1))
