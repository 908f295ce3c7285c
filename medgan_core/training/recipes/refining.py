"""A trained painter as a step of the simulation: images that look scanned, to learn a segmentation from."""

from __future__ import annotations

import torch
from torch import Tensor

from medgan_core.data.structure_scans import Refine
from medgan_core.errors import UsageError
from medgan_core.networks.slab_painter import SlabPainter
from medgan_core.registry import Registry
from medgan_core.training.networks import autocast
from medgan_core.training.recipes.suggesting import slabs_along


def refiner(name: str) -> Refine:
    """What the network of a model such as `brain-mr-synthesize` makes of simulated slices.

    Args:
        name: of the model.

    Returns:
        A function of images (slices, i, j), sides that are multiples of the network's, 1 = the 99.5th
        percentile, and of the source of their noise.

    Raises:
        UsageError: when there is no such model, or its network paints nothing.
    """
    network = Registry().load(name).network
    if not isinstance(network, SlabPainter):
        raise UsageError(
            f"The model {name!r} does not paint",
            expected="a model that the recipe brain-mr-synthesize trained",
            got=f"a {type(network).__name__}",
            action="choose another painter, or none",
        )
    painter = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def refine(image: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(image.shape, generator=generator)
        both = torch.stack([image, noise]).movedim(1, -1)[None]
        slabs = slabs_along(both, 2, range(len(image)), network.slices)
        with torch.no_grad(), autocast(slabs.device):
            painted: Tensor = painter(slabs.contiguous(memory_format=torch.channels_last))
        return painted[:, 0].float()

    return refine
