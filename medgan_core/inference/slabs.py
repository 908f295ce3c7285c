"""Slabs of neighbouring slices: what a 2.5D network takes, built the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medgan_core.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a slab network takes and gives, read from the network's own attributes.

    Args:
        contrasts: images in the slab.
        slices: neighbouring slices (odd) of each contrast.
        presence: one constant plane per contrast follows the slices: 1 where it is there, else 0.
        outputs: predicted images; a network with a scale head gives ``2 * outputs`` channels.
        multiple: sides of a slice must be multiples of this.
    """

    contrasts: int
    slices: int
    presence: bool
    outputs: int
    multiple: int

    @staticmethod
    def of(network: nn.Module) -> Signature:
        """Read the attributes of `network`.

        Raises:
            ModelError: when it is not a network of slabs.
        """
        names = ("contrasts", "slices", "presence", "outputs", "multiple")
        missing = [name for name in names if not hasattr(network, name)]
        if missing or getattr(network, "spatial_dims", None) != 2:
            raise ModelError(
                f"{type(network).__name__} cannot be applied to a volume",
                expected="spatial_dims 2 and the attributes " + ", ".join(names),
                got=f"spatial_dims {getattr(network, 'spatial_dims', None)}, missing {missing}",
                action="use a network of this version of medgan",
            )
        return Signature(
            contrasts=int(network.contrasts),  # type: ignore[arg-type]
            slices=int(network.slices),  # type: ignore[arg-type]
            presence=bool(network.presence),
            outputs=int(network.outputs),  # type: ignore[arg-type]
            multiple=int(network.multiple),  # type: ignore[arg-type]
        )

    @property
    def channels(self) -> int:
        """Input channels: the slices of every contrast, then the presence planes."""
        return self.contrasts * (self.slices + int(self.presence))


def slabs(
    array: Tensor,
    index: Sequence[int],
    slices: int,
    presence: Sequence[bool] | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Cut slabs around slices of a volume; outside of it its first or last slice is repeated.

    Args:
        array: (c, i, j, k) with the slices along k; any strides (slices that are contiguous in memory
            are copied fastest).
        index: the middle slice of each slab.
        slices: neighbouring slices in a slab (odd).
        presence: for each contrast whether it is there; None when the network takes no such planes.
        out: written into when given.

    Returns:
        (n, channels, i, j): first the slices of contrast 0, then those of contrast 1, and so on, then
        one constant plane per contrast that is 1 where the contrast is there.

    Example:
        >>> volume = torch.arange(3.0).reshape(1, 1, 1, 3)
        >>> slabs(volume, [0, 2], 3).flatten(1)
        tensor([[0., 0., 1.],
                [1., 2., 2.]])
    """
    contrasts, height, width, depth = array.shape
    planes = contrasts * slices
    if out is None:
        extra = 0 if presence is None else contrasts
        out = array.new_empty((len(index), planes + extra, height, width))
    stack = array.permute(0, 3, 1, 2)
    offsets = torch.arange(slices, device=array.device) - slices // 2
    for slab, middle in zip(out, index, strict=True):
        rows = (offsets + middle).clamp_(0, depth - 1)
        torch.index_select(stack, 1, rows, out=slab[:planes].view(contrasts, slices, height, width))
    if presence is not None:
        flags = torch.tensor(list(presence), dtype=array.dtype, device=array.device)
        out[:, planes:] = flags[:, None, None]
    return out
