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
    places = (place.astype(np.float32) for place in index)
    square = sum((2 / count * place - 1) ** 2 for place, count in zip(places, shape, strict=True))
    return torch.from_numpy(np.exp(-depth * np.clip(1 - square, 0, 1)))


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur in plane, (slices, i, j), 5 taps."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps = taps / taps.sum()
    # Moved and added: a convolution of one channel takes several times as long on a CPU.
    for axis, pad in ((1, (0, 0, 2, 2)), (2, (2, 2))):
        wide = functional.pad(image, pad)
        moved = (tap * wide.narrow(axis, n, image.shape[axis]) for n, tap in enumerate(taps.tolist()))
        image = sum(moved, torch.zeros_like(image))
    return image
