"""Pairs of image and label map: SPADE, the encoder of its style and a generator of maps as one model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan_core.networks.folding import Folded
from medgan_core.networks.shape_model import ShapeModel
from medgan_core.networks.spade import SpadeGenerator, StyleEncoder


class LabelledSynthesizer(nn.Module):
    """A volume from a label map and a style; a style from a volume; a label map from nothing.

    Attributes:
        generator: one-hot maps and styles to images in [-1, 1]; sides are multiples of `multiple`.
        encoder: images in [-1, 1] to mean and log variance of styles.
        shapes: codes to maps of `size`.
        multiple: see above.

    Args:
        labels: background included.
        size: of the maps from nothing.
        style: length of the style code.
        shape: length of the shape code.
        widths: of the generator at half the resolution, at 1/4, ... of it.
        hidden: of the generator, see `spade.SpatialModulation`.
        style_widths: of the encoder at the full resolution, at 1/2, ... of it.
        shape_widths: of the shapes at half the resolution, at 1/4, ... of it.
    """

    def __init__(
        self,
        *,
        labels: int,
        size: Sequence[int],
        style: int = 16,
        shape: int = 16,
        widths: Sequence[int] = (32, 64, 64),
        hidden: int = 32,
        style_widths: Sequence[int] = (8, 16, 32, 48),
        shape_widths: Sequence[int] = (16, 32, 48),
    ) -> None:
        super().__init__()
        dims = len(size)
        self.labels, self.size, self.multiple = labels, tuple(size), 2 ** len(widths)
        self.generator = Folded(
            SpadeGenerator(
                labels=labels * 2**dims,
                out_channels=2**dims,
                style=style,
                widths=widths,
                hidden=hidden,
                spatial_dims=dims,
            )
        )
        self.encoder = StyleEncoder(style=style, widths=style_widths, spatial_dims=dims)
        self.shapes = ShapeModel(size=size, labels=labels, latent=shape, widths=shape_widths)
        self.style, self.shape = (style,), self.shapes.latent

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """One-hot maps (n, labels, *spatial) and styles (n, style) to images (n, 1, *spatial) in [0, 1]."""
        image: Tensor = self.generator(maps, style)
        return ((image + 1) / 2).clamp(0, 1)

    def appearance(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of styles, each (n, style), of images (n, 1, *spatial) in [0, 1]."""
        mean, log_variance = self.encoder(image.clamp(0, 1) * 2 - 1)
        return mean, torch.exp(0.5 * log_variance)

    def draw_maps(self, code: Tensor) -> Tensor:
        """Standard normal codes (n, shape) to the most probable label of every voxel, (n, *size), int64."""
        return self.shapes.draw(code).argmax(1)
