"""From an image to a coarse grid of features, and back: halves of autoencoders, generators, classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from medgan_core.networks.layers import convolution, double, leaky, normalisation, pyramid
from medgan_core.networks.residual_block import ResidualBlock


class ConvolutionalEncoder(nn.Module):
    """A convolution, then for every halving of the grid a strided convolution and a residual block.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, widths: Sequence[int], *, norm: str = "none"
    ) -> None:
        super().__init__()
        self.stem = convolution(spatial_dims, in_channels, widths[0])
        self.steps = nn.ModuleList(
            nn.Sequential(
                convolution(spatial_dims, fine, coarse, stride=2),
                ResidualBlock(spatial_dims, coarse, coarse, norm=norm),
            )
            for fine, coarse in pairwise(widths)
        )
        self.norm = normalisation(norm, spatial_dims, widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to (n, widths[-1], *coarse), each halving rounding up."""
        x = self.stem(x)
        for step in self.steps:
            x = step(leaky(x))
        return leaky(self.norm(x))


class ConvolutionalDecoder(nn.Module):
    """For every doubling of the grid, repeated voxels and a residual block; then a convolution.

    Repeating voxels and convolving leaves no checkerboards, as transposed convolutions do (Odena et al.,
    "Deconvolution and checkerboard artifacts", Distill 2016).

    Args:
        spatial_dims: 2 or 3.
        out_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`.
        spectral: spectral norm on every convolution.
        smooth: interpolate linearly instead. Shortcuts of residual blocks pass a coarse grid on as it is, and
            where only a discriminator teaches the network its blocks stay visible.
    """

    def __init__(
        self,
        spatial_dims: int,
        out_channels: int,
        widths: Sequence[int],
        *,
        norm: str = "none",
        spectral: bool = False,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.smooth = smooth
        self.steps = nn.ModuleList(
            ResidualBlock(spatial_dims, coarse, fine, norm=norm, spectral=spectral)
            for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.norm = normalisation(norm, spatial_dims, widths[0])
        self.head = convolution(spatial_dims, widths[0], out_channels, gain=0.5, spectral=spectral)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """(n, widths[-1], *coarse) to (n, out_channels, *size); coarse is `size` halved, rounding up."""
        for step, finer in zip(self.steps, pyramid(size, len(self.steps))[-2::-1], strict=True):
            x = step(double(x, finer, smooth=self.smooth))
        out: Tensor = self.head(leaky(self.norm(x)))
        return out
