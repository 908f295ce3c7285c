"""What every scanner does to the signal of tissue: a coil is nearer to some of it, and pixels have a size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def coil(
    shape: Sequence[int],
    index: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]],
    *,
    depth: float,
) -> Tensor:
    """Sensitivity of a coil around the head: 1 at the surface, ``exp(-depth)`` in the middle.

    Args:
        shape: of the label map.
        index: voxels to look at along its three axes, which broadcast.
        depth: logarithm of the loss in the middle.
    """
    square = sum((2 * place / count - 1) ** 2 for place, count in zip(index, shape, strict=True))
    return torch.from_numpy(np.exp(-depth * np.clip(1 - square, 0, 1)).astype(np.float32))


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur in plane, (slices, i, j), 5 taps."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps = taps / taps.sum()
    out = functional.conv2d(image[:, None], taps.view(1, 1, 5, 1), padding=(2, 0))
    return functional.conv2d(out, taps.view(1, 1, 1, 5), padding=(0, 2))[:, 0]
