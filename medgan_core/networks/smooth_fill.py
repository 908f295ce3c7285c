"""The smooth surface over a hole: what its border says without any idea of what an image looks like."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.networks.layers import double, halve

LEVELS = {2: 5, 3: 3}
"""How often 2D and 3D images are halved: holes of up to about 2**LEVELS voxels are filled from all sides."""

_ROUNDS = 6
_STRAIGHTENED, _STEP, _MOMENTUM = 20, 0.24, 0.8
_MEANS: dict[int, Callable[..., Tensor]] = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
_CONVOLVE: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}


def smooth_fill(image: Tensor, known: Tensor) -> Tensor:
    """Fill what is not known with the surface that its border suggests.

    From coarse to fine: known voxels are averaged over ever larger blocks, the coarsest blocks fill the next
    finer ones, and a few rounds of averaging with the neighbours smooth what was filled at each resolution
    (pull and push, Gortler et al., "The lumigraph", SIGGRAPH 1996, with Jacobi's rounds between). That is
    nearly the solution of Laplace's equation. A few rounds towards the biharmonic equation follow, which
    carries slopes into the hole (Damelin & Hoang 2018); so few solve it in thin holes, where slopes still
    hold, and leave wide ones, where it overshoots. Every step is local and the same everywhere, so a tile
    computes what the whole does.

    Args:
        image: (n, c, *spatial), 0 where not known.
        known: (n, 1, *spatial), 1 where the image is known, else 0.

    Returns:
        (n, c, *spatial): the image where it is known, the surface elsewhere.
    """
    shown, there = [image], [known]
    for _ in range(LEVELS[image.dim() - 2]):
        share = halve(there[-1])
        shown.append(halve(shown[-1]) / share.clamp(min=1e-3))
        there.append((share > 0).to(share.dtype))
        shown[-1] = shown[-1] * there[-1]
    filled = shown[-1]
    for value, mask in zip(reversed(shown[:-1]), reversed(there[:-1]), strict=True):
        filled = double(filled, value.shape[2:], smooth=True)
        filled = filled + mask * (value - filled)
        for _ in range(_ROUNDS):
            filled = filled + (1 - mask) * (_neighbours(filled) - filled)
    return _straightened(filled, known)


def _straightened(filled: Tensor, known: Tensor) -> Tensor:
    """Steps down the gradient of the squared Laplacian, with momentum, where the image is not known."""
    axes, channels = filled.dim() - 2, filled.shape[1]
    kernel = _bending(axes).to(filled).expand(channels, *[-1] * (axes + 1))
    moved = torch.zeros_like(filled)
    with torch.autocast(filled.device.type, enabled=False):
        for _ in range(_STRAIGHTENED):
            padded = functional.pad(filled, (2,) * (2 * axes), mode="replicate")
            bent = _CONVOLVE[axes](padded, kernel, groups=channels)
            moved = _MOMENTUM * moved - _STEP * (1 - known) * bent
            filled = filled + moved
    return filled


def _bending(axes: int) -> Tensor:
    """The Laplacian (mean of the neighbours along the axes, less the voxel) twice, (1, 1, 5, 5[, 5])."""
    laplacian = torch.zeros(1, 1, *[3] * axes)
    middle = (0, 0, *[1] * axes)
    laplacian[middle] = -1.0
    for axis in range(2, axes + 2):
        for side in (0, 2):
            laplacian[(*middle[:axis], side, *middle[axis + 1 :])] = 1 / (2 * axes)
    return _CONVOLVE[axes](laplacian, laplacian, padding=2)


def _neighbours(x: Tensor) -> Tensor:
    """Means of 3 x 3 (x 3) voxels."""
    axes = x.dim() - 2
    return _MEANS[axes](functional.pad(x, (1,) * (2 * axes), mode="replicate"), 3, stride=1)
