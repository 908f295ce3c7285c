"""Label maps from nothing, for generators that make an image from a label map.

A small variational autoencoder of the maps (Kingma & Welling, ICLR 2014) whose likelihood is categorical for
every voxel. It is a player of its own, beside those of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor
from torch.nn import functional

from medgan_core.losses.kl import kl_loss
from medgan_core.networks.autoencoder import VariationalAutoencoder
from medgan_core.networks.shape_model import ShapeModel
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.player import Player
from medgan_core.training.recipe import Logs
from medgan_core.training.recipes.pictures import one_hot

SHAPES = "shapes"
_LATENT = 16


def shapes_network(size: Sequence[int], classes: int, widths: Sequence[int]) -> VariationalAutoencoder:
    """The autoencoder of maps, half as wide as the network of images.

    Args:
        size: of a map.
        classes: labels, background included.
        widths: of the image's generator.
    """
    return VariationalAutoencoder(
        size=size,
        latent=_LATENT,
        in_channels=classes,
        out_channels=classes,
        widths=[max(4, width // 2) for width in widths],
        spatial_dims=len(size),
    )


def shapes_player(rate: float) -> Player:
    """The player; `rate` is a multiple of the recipe's learning rate."""
    return Player(name=SHAPES, networks=(SHAPES,), rate=rate)


def shapes_loss(networks: Networks, labels: Tensor, moment: Moment, *, classes: int) -> tuple[Tensor, Logs]:
    """Minus the evidence lower bound per voxel of label maps (n, 1, *size), int64."""
    network = _network(networks)
    maps = one_hot(labels, classes)
    logits, mean, log_variance = networks[SHAPES](maps, moment.normal(len(maps), *network.latent))
    each = functional.cross_entropy(logits, labels[:, 0], reduction="none").flatten(1).sum(1)
    divergence = kl_loss(mean, log_variance)
    voxels = labels[0].numel()
    return (each.mean() + divergence) / voxels, {"kl": divergence}


def draw_shapes(networks: Networks, count: int, moment: Moment) -> Tensor:
    """New label maps (count, 1, *size), int64: the most probable label of every voxel."""
    network = _network(networks)
    decode = network.draw if isinstance(network, ShapeModel) else network.decode
    logits: Tensor = networks.call(decode)(moment.normal(count, *network.latent))
    return logits.argmax(1, keepdim=True)


def _network(networks: Networks) -> VariationalAutoencoder:
    return cast("VariationalAutoencoder", networks.exact(SHAPES))
