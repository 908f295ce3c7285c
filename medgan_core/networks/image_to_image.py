"""Generators from an image to an image of the same size: U-Net and residual network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from medgan_core.networks.layers import (
    LAST,
    SLOPE,
    chosen,
    convolution,
    double,
    normalisation,
    pyramid,
)
from medgan_core.networks.residual_block import ResidualBlock


class _Step(nn.Sequential):
    """Convolution, normalisation, leaky ReLU."""

    def __init__(
        self, spatial_dims: int, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, norm: str
    ) -> None:
        super().__init__(
            convolution(spatial_dims, inputs, outputs, kernel, stride=stride),
            normalisation(norm, spatial_dims, outputs),
            nn.LeakyReLU(SLOPE),
        )


class UNetGenerator(nn.Module):
    """A U-Net (Ronneberger et al. 2015) as a generator (Isola et al., CVPR 2017, section 3.2.1).

    It differs from the latter in doubling by repeated voxels, a skip at the full resolution, and pixel norm:
    with `norm` "pixel" or "none" no layer takes statistics over the image, so a tile whose corner lies at
    multiples of `multiple` computes what the whole does away from its border. Any size works.

    Attributes:
        multiple: see above.

    Args:
        in_channels: of the image.
        out_channels: of the image it gives.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        blocks: residual blocks at the coarsest resolution.
        norm: see `layers.NORMALISATIONS`.
        dropout: share of the coarsest features hidden in training, the noise of pix2pix.
        last: see `layers.LAST`.
        residual: add the first `out_channels` channels of the input, for an image that needs a correction;
            then `last` should be "linear".
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (24, 48, 96, 128),
        blocks: int = 1,
        norm: str = "pixel",
        dropout: float = 0.0,
        last: str = "tanh",
        residual: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.multiple = spatial_dims, 2 ** (len(widths) - 1)
        self.out_channels, self.residual = out_channels, residual
        self.stem = _Step(spatial_dims, in_channels, widths[0], norm=norm)
        self.down = nn.ModuleList(
            nn.Sequential(
                _Step(spatial_dims, fine, coarse, stride=2, norm=norm),
                _Step(spatial_dims, coarse, coarse, norm=norm),
            )
            for fine, coarse in pairwise(widths)
        )
        self.middle = nn.Sequential(
            *(ResidualBlock(spatial_dims, widths[-1], widths[-1], norm=norm) for _ in range(blocks)),
            nn.Dropout(dropout),
        )
        self.shrink = nn.ModuleList(convolution(spatial_dims, b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_Step(spatial_dims, 2 * width, width, norm=norm) for width in widths[:-1])
        self.head = convolution(spatial_dims, widths[0], out_channels, gain=0.1 if residual else 0.5)
        self.last = chosen(LAST, last, "last")()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to (n, out_channels, *spatial)."""
        features = self.stem(x)
        skips: list[Tensor] = []
        for down in self.down:
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for level in reversed(range(len(skips))):
            # The narrowing acts on each voxel alone, so it may as well act before the voxels are repeated.
            finer = double(self.shrink[level](features), skips[level].shape[2:])
            features = self.up[level](torch.cat([finer, skips[level]], dim=1))
        image: Tensor = self.last(self.head(features))
        return image + x[:, : self.out_channels] if self.residual else image


class ResidualImageGenerator(nn.Module):
    """Two halvings, residual blocks, two doublings (Zhu et al., "CycleGAN", ICCV 2017, appendix 7.2).

    It differs in doubling by repeated voxels, zero padding, and pixel norm: with `norm` "pixel" or "none" a
    tile whose corner lies at multiples of `multiple` computes what the whole does away from its border. Any
    size works.

    Attributes:
        multiple: see above.

    Args:
        in_channels: of the image.
        out_channels: of the image it gives.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        blocks: residual blocks at the coarsest resolution; 6 in the paper for 128 pixels.
        norm: see `layers.NORMALISATIONS`; "instance" in the paper.
        last: see `layers.LAST`.
        residual: add the first `out_channels` channels of the input; then `last` should be "linear".
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (24, 48, 96),
        blocks: int = 6,
        norm: str = "pixel",
        last: str = "tanh",
        residual: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.multiple = spatial_dims, 2 ** (len(widths) - 1)
        self.out_channels, self.residual = out_channels, residual
        self.stem = _Step(spatial_dims, in_channels, widths[0], 7, norm=norm)
        self.down = nn.ModuleList(
            _Step(spatial_dims, fine, coarse, stride=2, norm=norm) for fine, coarse in pairwise(widths)
        )
        self.blocks = nn.Sequential(
            *(ResidualBlock(spatial_dims, widths[-1], widths[-1], norm=norm) for _ in range(blocks)),
            normalisation(norm, spatial_dims, widths[-1]),
            nn.LeakyReLU(SLOPE),
        )
        self.up = nn.ModuleList(
            _Step(spatial_dims, coarse, fine, norm=norm) for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.head = convolution(spatial_dims, widths[0], out_channels, 7, gain=0.1 if residual else 0.5)
        self.last = chosen(LAST, last, "last")()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to (n, out_channels, *spatial)."""
        features = self.stem(x)
        for down in self.down:
            features = down(features)
        features = self.blocks(features)
        for up, finer in zip(self.up, pyramid(x.shape[2:], len(self.up))[-2::-1], strict=True):
            features = up(double(features, finer))
        image: Tensor = self.last(self.head(features))
        return image + x[:, : self.out_channels] if self.residual else image
