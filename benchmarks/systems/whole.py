"""Networks of slices or slabs applied to whole volumes, and the truth these are compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.stacks import Stack
from medgan_core.evaluation import Truth
from medgan_core.volume import Geometry, Volume

_AT_ONCE = 4

Array = NDArray[np.float32]


def apply_whole(
    function: Callable[..., Tensor], *volumes: Tensor, spatial_dims: int, device: torch.device
) -> Tensor:
    """A volume from volumes: slice after slice, or in 3D at once.

    Args:
        function: of images (n, c, h, w), in 3D (n, c, h, w, slices), to images (n, 1, ...).
        volumes: (c, slices, h, w) each, its arguments.
        spatial_dims: of the function.
        device: where it computes.

    Returns:
        (slices, h, w), which may be another h and w, fp32 on the CPU.
    """
    with torch.no_grad():
        if spatial_dims == 3:
            at_once = (v.float()[None].movedim(2, -1).to(device) for v in volumes)
            return function(*at_once)[0, 0].movedim(-1, 0).float().cpu()
        parts = zip(*(torch.split(v.float().movedim(1, 0), _AT_ONCE) for v in volumes), strict=True)
        return torch.cat([function(*(p.to(device) for p in part))[:, 0].float().cpu() for part in parts])


def slices_last(volume: Tensor) -> Array:
    """(slices, h, w) as the figures have it: (h, w, slices), float32."""
    return np.ascontiguousarray(volume.float().movedim(0, -1).numpy())


def truth_of(stack: Stack, channel: int, *, columns: int | None = None) -> Truth:
    """A contrast of a stack as the truth, on the stack's own grid.

    Args:
        stack: of a patient.
        channel: of the contrast.
        columns: pixels along w that are there to compare with; None for all.
    """
    image = slices_last(stack.images[channel, :, :, :columns])
    h, w, slices = image.shape
    geometry = Geometry((h, w, slices), np.diag([*stack.pixel_mm, stack.slice_mm, 1.0]))
    return Truth.of(Volume(image, geometry), brain_only=not stack.head)
