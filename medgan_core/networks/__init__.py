"""Networks by name: an explicit table, no class names in strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from medgan_core.errors import ModelError
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.networks.volume_classifier import VolumeClassifier

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "slab-unet": SlabUNet,
    "volume-classifier": VolumeClassifier,
}


def build(name: str, options: dict[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Raises:
        ModelError: when the name or an option is unknown.
    """
    if name not in BUILDERS:
        raise ModelError(
            f"No network is called {name!r}",
            expected="one of " + ", ".join(sorted(BUILDERS)),
            got=name,
            action="use the version of medgan the model was made with, or a newer one",
        )
    try:
        return BUILDERS[name](**options)
    except TypeError as error:
        raise ModelError(
            f"The network {name!r} does not take these options",
            expected="the options its class documents",
            got=f"{options}: {error}",
            action="correct the architecture in the card",
        ) from error
