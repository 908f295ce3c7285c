"""Every network of the generative systems, small, with something to feed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medgan_core import networks

SIZES = {2: (12, 19), 3: (8, 11, 9)}
"""Odd sides on purpose."""


@dataclass(frozen=True)
class Case:
    """One network: its options, its inputs and the shapes it must give, for 2 or 3 axes."""

    name: str
    options: Callable[[int], dict[str, Any]]
    inputs: Callable[[int], tuple[tuple[Any, ...], dict[str, Any]]]
    outputs: Callable[[int], list[tuple[int, ...]]]

    def build(self, dims: int, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return networks.build(self.name, {"spatial_dims": dims, **self.options(dims)})


def image(dims: int, channels: int = 1, size: tuple[int, ...] | None = None) -> Tensor:
    """Two random images."""
    generator = torch.Generator().manual_seed(channels)
    return torch.randn(2, channels, *(size or SIZES[dims]), generator=generator)


def one_hot(dims: int, labels: int, size: tuple[int, ...] | None = None) -> Tensor:
    """Two random label maps."""
    numbers = image(dims, labels, size).argmax(1, keepdim=True)
    return torch.cat([numbers == label for label in range(labels)], dim=1).float()


def _z(length: int = 6) -> Tensor:
    return torch.randn(2, length, generator=torch.Generator().manual_seed(9))


CLASSES = torch.tensor([0, 2])


def _coarse(dims: int, halvings: int) -> tuple[int, ...]:
    return tuple(-(-side // 2**halvings) for side in SIZES[dims])


def _hole(dims: int) -> Tensor:
    hole = torch.zeros(2, 1, *SIZES[dims])
    hole[:, :, 2:6, 3:7] = 1
    return hole


def _from_nothing(name: str, **extra: Any) -> Case:
    return Case(
        name,
        lambda d: {"size": SIZES[d], "latent": 6, "out_channels": 2, "widths": [4, 8, 12], **extra},
        lambda d: ((_z(),), {"labels": CLASSES} if "classes" in extra else {}),
        lambda d: [(2, 2, *SIZES[d])],
    )


def _same_size(name: str, **extra: Any) -> Case:
    return Case(
        name,
        lambda d: {"in_channels": 2, "out_channels": 2, "widths": [4, 8, 12], **extra},
        lambda d: ((image(d, 2),), {}),
        lambda d: [(2, 2, *SIZES[d])],
    )


def _judge(name: str, **extra: Any) -> Case:
    """A discriminator with a condition beside the image and, where it can, classes."""
    return Case(
        name,
        lambda d: {"in_channels": 3, "widths": [4, 8], **extra},
        lambda d: ((image(d), image(d, 2)), {"labels": CLASSES} if "classes" in extra else {}),
        lambda d: [(2,)],
    )


def _filled(kind: str) -> Case:
    return Case(
        "inpainting-generator",
        lambda d: {"widths": [4, 8, 12], "dilations": [1, 2], "convolutions": kind},
        lambda d: ((image(d), _hole(d)), {"paste": False}),
        lambda d: [(2, 1, *SIZES[d])],
    )


def _coder(name: str, grid: bool) -> Case:
    def codes(d: int) -> tuple[int, ...]:
        return (2, 6, *_coarse(d, 2)) if grid else (2, 6)

    variational = name.startswith("v")
    return Case(
        name,
        lambda d: {"size": SIZES[d], "latent": 6, "grid": grid, "widths": [4, 8, 12]},
        lambda d: ((image(d), torch.ones(codes(d))), {}),
        lambda d: [(2, 1, *SIZES[d]), *([codes(d)] * 2 if variational else [])],
    )


CASES: dict[str, Case] = {
    "autoencoder": _coder("autoencoder", False),
    "autoencoder-grid": _coder("autoencoder", True),
    "vae": _coder("variational-autoencoder", False),
    "vae-grid": _coder("variational-autoencoder", True),
    "dcgan-g": _from_nothing("dcgan-generator"),
    "dcgan-g-transposed": _from_nothing("dcgan-generator", transposed=True, classes=3),
    "dcgan-d": Case(
        "dcgan-discriminator",
        lambda d: {"size": SIZES[d], "widths": [4, 8], "classes": 3},
        lambda d: ((image(d),), {"labels": CLASSES}),
        lambda d: [(2,)],
    ),
    "residual-g": _from_nothing("residual-generator", classes=3),
    "residual-g-spectral": _from_nothing("residual-generator", spectral=True, norm="batch"),
    "residual-d": _judge("residual-discriminator", classes=3),
    "residual-d-plain": _judge("residual-discriminator", spectral=False, pool="mean"),
    "progressive-g": _from_nothing("progressive-generator"),
    "progressive-d": Case(
        "progressive-discriminator",
        lambda d: {"size": SIZES[d], "widths": [4, 8, 12]},
        lambda d: ((image(d),), {}),
        lambda d: [(2,)],
    ),
    "patch-d": Case(
        "patch-discriminator",
        lambda d: {"in_channels": 3, "widths": [4, 8]},
        lambda d: ((image(d), image(d, 2)), {}),
        lambda d: [(2, 1, *(side // 2 - 2 for side in SIZES[d]))],
    ),
    "unet-g": _same_size("unet-generator"),
    "unet-g-residual": _same_size("unet-generator", norm="instance", residual=True, last="linear"),
    "resnet-g": _same_size("residual-image-generator", blocks=2),
    "spade-g": Case(
        "spade-generator",
        lambda d: {"labels": 3, "style": 5, "widths": [4, 8, 12], "hidden": 6},
        lambda d: ((one_hot(d, 3), _z(5)), {}),
        lambda d: [(2, 1, *SIZES[d])],
    ),
    "spade-g-spectral": Case(
        "spade-generator",
        lambda d: {"labels": 3, "style": 0, "widths": [4, 8], "spectral": True, "norm": "instance"},
        lambda d: ((one_hot(d, 3),), {}),
        lambda d: [(2, 1, *SIZES[d])],
    ),
    "style-encoder": Case(
        "style-encoder",
        lambda d: {"style": 5, "widths": [4, 8]},
        lambda d: ((image(d),), {}),
        lambda d: [(2, 5), (2, 5)],
    ),
    "super-resolution": Case(
        "super-resolution-generator",
        lambda d: {"factors": [1] * (d - 1) + [4], "in_channels": 2, "width": 6, "blocks": 2},
        lambda d: ((image(d, 2),), {}),
        lambda d: [(2, 1, *SIZES[d][:-1], 4 * SIZES[d][-1])],
    ),
    "inpainting-gated": _filled("gated"),
    "inpainting-partial": _filled("partial"),
    "latent-encoder": Case(
        "latent-encoder",
        lambda d: {"size": SIZES[d], "latent": 6, "widths": [4, 8]},
        lambda d: ((image(d),), {}),
        lambda d: [(2, 6)],
    ),
    "flow": Case(
        "flow-unet",
        lambda d: {"size": SIZES[d], "classes": 3, "label_channels": 2, "widths": [4, 8, 12]},
        lambda d: ((image(d), torch.tensor([0.1, 0.7]), CLASSES, one_hot(d, 2)), {}),
        lambda d: [(2, 1, *SIZES[d])],
    ),
    "classifier": Case(
        "image-classifier",
        lambda d: {"classes": 3, "widths": [4, 8], "dropout": 0.0},
        lambda d: ((image(d),), {}),
        lambda d: [(2, 3)],
    ),
    "segmentation": Case(
        "segmentation-unet",
        lambda d: {"classes": 3, "widths": [4, 8, 12], "dropout": 0.0},
        lambda d: ((image(d),), {}),
        lambda d: [(2, 3, *SIZES[d])],
    ),
}


def run(case: Case, network: nn.Module, dims: int) -> list[Tensor]:
    """All that the network gives for the case's inputs, as a list."""
    positional, named = case.inputs(dims)
    out = network(*positional, **named)
    return list(out) if isinstance(out, tuple) else [out]


def shake(network: nn.Module, scale: float = 0.1) -> nn.Module:
    """Move every weight a little, as training does, also those that start at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return network
