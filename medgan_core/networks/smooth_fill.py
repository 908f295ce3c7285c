"""The smooth surface over a hole: what its border says without any idea of what an image looks like."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from medgan_core.networks.layers import double, halve

LEVELS = {2: 5, 3: 3}
"""How often 2D and 3D images are halved: holes of up to about 2**LEVELS voxels are filled from all sides."""

_ROUNDS = 6
_MEANS: dict[int, Callable[..., Tensor]] = {2: functional.avg_pool2d, 3: functional.avg_pool3d}


def smooth_fill(image: Tensor, known: Tensor) -> Tensor:
    """Fill what is not known with nearly the solution of Laplace's equation.

    From coarse to fine: known voxels are averaged over ever larger blocks, the coarsest blocks fill the next
    finer ones, and a few rounds of averaging with the neighbours smooth what was filled at each resolution
    (pull and push, Gortler et al., "The lumigraph", SIGGRAPH 1996, with Jacobi's rounds between). Every step
    is local and the same everywhere, so a tile computes what the whole does.

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
    return filled


def _neighbours(x: Tensor) -> Tensor:
    """Means of 3 x 3 (x 3) voxels."""
    axes = x.dim() - 2
    return _MEANS[axes](functional.pad(x, (1,) * (2 * axes), mode="replicate"), 3, stride=1)
