"""The encoder of f-AnoGAN: from an image to the latent a trained generator would make it from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.coders import ConvolutionalEncoder
from medgan_core.networks.layers import check_size, linear, pyramid, widened


class LatentEncoder(nn.Module):
    """Strided convolutions and residual blocks to one vector.

    Source: Schlegl et al., "f-AnoGAN", Medical Image Analysis 2019, section 2.2. The output is linear,
    because the generators here take standard normal latents.

    Attributes:
        latent: shape of one latent without the batch axis, (latent,).

    Args:
        size: of the image, one side per axis.
        latent: length of the generator's z.
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        latent: int = 64,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        norm: str = "pixel",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size = spatial_dims, check_size(size, spatial_dims)
        self.latent = (latent,)
        coarse = pyramid(self.size, len(widths) - 1)[-1]
        self.encoder = ConvolutionalEncoder(spatial_dims, in_channels, widths, norm=norm)
        self.to_latent = linear(widths[-1] * math.prod(coarse), latent, gain=0.7)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *size) to latents (n, latent) in fp32."""
        z: Tensor = self.to_latent(self.encoder(x).flatten(1))
        return widened(z)
