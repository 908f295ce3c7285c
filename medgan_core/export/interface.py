"""What a network takes, as far as another program must know: one tensor, its channels, its sizes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medgan_core.errors import ModelError

_SMALLEST = 32
_MULTIPLE = 16
"""Sides a network is tried with when it does not say of what they must be multiples."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The one tensor a network takes, (n, channels, *sides).

    Args:
        name: ``image``, or ``latent`` for a network that makes images from nothing.
        channels: of the tensor.
        sides: of a latent, which are fixed; of an image () for free sides.
        axes: number of spatial axes of an image.
        multiple: the sides of an image must be multiples of this; 1 when the network does not say.
    """

    name: str
    channels: int
    sides: tuple[int, ...] = ()
    axes: int = 0
    multiple: int = 1

    @staticmethod
    def of(network: nn.Module) -> Interface:
        """Read it from the network's attributes and its forward function.

        Raises:
            ModelError: when it takes several tensors, or does not say how many axes it works on.
        """
        parameters = list(inspect.signature(network.forward).parameters.values())
        needed = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        latent = getattr(network, "latent", None)
        if needed == ["z"] and latent:
            return Interface(name="latent", channels=int(latent[0]), sides=tuple(map(int, latent[1:])))
        axes = getattr(network, "spatial_dims", None)
        channels = getattr(network, "in_channels", None) or _first_channels(network)
        if len(needed) != 1 or axes not in (2, 3) or channels is None:
            raise ModelError(
                f"{type(network).__name__} cannot be exported",
                expected="a network of one tensor, with spatial_dims 2 or 3",
                got=f"it takes {', '.join(needed)}; spatial_dims {axes}",
                action="use the model with medgan run",
            )
        multiple = int(getattr(network, "multiple", 1))
        return Interface(name="image", channels=int(channels), axes=int(axes), multiple=multiple)

    @property
    def free(self) -> tuple[int, ...]:
        """Axes of the tensor whose size is free: the batch, and the sides of an image."""
        return (0, *range(2, 2 + self.axes))

    def examples(self) -> tuple[Tensor, Tensor]:
        """Two inputs of different sizes (of a latent, batches) with the same random numbers every time."""
        generator = torch.Generator().manual_seed(0)
        step = self.multiple if self.multiple > 1 else _MULTIPLE
        least = -(-_SMALLEST // step) * step
        small = self.sides or (least,) * self.axes
        large = self.sides or tuple(least + n * step for n in range(1, self.axes + 1))
        return (
            torch.rand((1, self.channels, *small), generator=generator),
            torch.rand((2, self.channels, *large), generator=generator),
        )


def _first_channels(network: nn.Module) -> int | None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            return module.in_channels
    return None
