"""Autoencoder and variational autoencoder, with a vector or a small grid as the code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from medgan_core.networks.coders import ConvolutionalDecoder, ConvolutionalEncoder
from medgan_core.networks.layers import LAST, check_size, chosen, convolution, linear, pyramid, widened

_LOG_VARIANCE = (-20.0, 10.0)


class _Coder(nn.Module):
    """Encoder and decoder with a code between them."""

    _parts: ClassVar[int]
    """Numbers the encoder gives for each one of the code."""

    def __init__(
        self,
        *,
        size: Sequence[int],
        latent: int = 64,
        grid: bool = False,
        in_channels: int = 1,
        out_channels: int | None = None,
        widths: Sequence[int] = (16, 32, 64, 96),
        norm: str = "none",
        last: str = "linear",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size = spatial_dims, check_size(size, spatial_dims)
        coarse = pyramid(self.size, len(widths) - 1)[-1]
        self.latent: tuple[int, ...] = (latent, *coarse) if grid else (latent,)
        self.encoder = ConvolutionalEncoder(spatial_dims, in_channels, widths, norm=norm)
        self.decoder = ConvolutionalDecoder(spatial_dims, out_channels or in_channels, widths, norm=norm)
        self.last = chosen(LAST, last, "last")()
        if grid:
            self.to_code = convolution(spatial_dims, widths[-1], self._parts * latent, 1, gain=0.7)
            self.from_code = convolution(spatial_dims, latent, widths[-1], 1)
        else:
            cells = (widths[-1], *coarse)
            to_code = linear(math.prod(cells), self._parts * latent, gain=0.7)
            self.to_code = nn.Sequential(nn.Flatten(), to_code)
            from_code = linear(latent, math.prod(cells))
            self.from_code = nn.Sequential(from_code, nn.Unflatten(1, cells))

    def _code(self, x: Tensor) -> Tensor:
        code: Tensor = self.to_code(self.encoder(x))
        return widened(code)

    def decode(self, code: Tensor, *, size: Sequence[int] | None = None) -> Tensor:
        """(n, *latent) to an image (n, out_channels, *size).

        Args:
            code: one code per image.
            size: of the image, when it is not the one of the network; for codes that are grids.
        """
        image: Tensor = self.last(self.decoder(self.from_code(code), size or self.size))
        return image


class Autoencoder(_Coder):
    """Image to code to image (Hinton & Salakhutdinov, Science 2006), with convolutions.

    With a grid as its code and without statistics over the image (`norm` "none" or "pixel") it takes images
    of any size, and a tile computes what the whole does.

    Attributes:
        latent: shape of one code without the batch axis, (latent,) or (latent, *coarse), where coarse is
            `size` halved ``len(widths) - 1`` times, rounding up.

    Args:
        size: of the image, one side per axis.
        latent: length of the code, or channels of it when it is a grid.
        grid: the code is a small grid instead of a vector.
        in_channels: of the input.
        out_channels: of the reconstruction; as many as `in_channels` when None.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`.
        last: what ends the decoder, see `layers.LAST`.
        spatial_dims: 2 or 3.
    """

    _parts = 1

    def encode(self, x: Tensor) -> Tensor:
        """(n, in_channels, *size) to codes (n, *latent) in fp32."""
        return self._code(x)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """The reconstruction of (n, in_channels, *size).

        Args:
            x: images.
            noise: added to the code, the same shape; uniform noise of one quantisation step stands in for
                rounding in training (Ballé et al., "End-to-end optimized image compression", ICLR 2017,
                section 3).
        """
        code = self._code(x)
        return self.decode(code if noise is None else code + noise, size=x.shape[2:])


class VariationalAutoencoder(_Coder):
    """Image to a Gaussian over codes to image (Kingma & Welling, "Auto-encoding variational Bayes", 2014).

    Attributes:
        latent: shape of one code without the batch axis; see `Autoencoder`. Codes to sample from are
            standard normal.

    Args:
        size, latent, grid, in_channels, out_channels, widths, norm, last, spatial_dims: see `Autoencoder`.
    """

    _parts = 2

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, in_channels, *size) to mean and log variance, each (n, *latent), in fp32.

        The log variance is kept within [-20, 10], where its exponential is harmless.
        """
        mean, log_variance = self._code(x).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log variance of (n, in_channels, *size).

        Args:
            x: images.
            noise: standard normal, (n, *latent), for ``z = mean + exp(log_variance / 2) * noise``
                (section 2.4 of the paper); None decodes the mean.
        """
        mean, log_variance = self.encode(x)
        z = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(z, size=x.shape[2:]), mean, log_variance
