"""Residual generator and discriminator, as spectrally normalised GANs use them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.coders import ConvolutionalDecoder
from medgan_core.networks.discriminator import Discriminator, ProjectionHead, joined
from medgan_core.networks.latent_grid import LatentGrid
from medgan_core.networks.layers import LAST, check_size, chosen, halve, leaky, pyramid, widened
from medgan_core.networks.residual_block import ResidualBlock

_POOLINGS = {"sum": True, "mean": False}


class ResidualGenerator(nn.Module):
    """A linear layer to a coarse grid, then smooth doubling and residual blocks up to the image.

    Source: Miyato et al., "Spectral normalization for GANs", ICLR 2018, table 4. Pixel norm stands in for
    batch norm by default, so that a sample does not depend on the others of its batch.

    Attributes:
        latent: shape of one latent without the batch axis, (latent,); standard normal.

    Args:
        size: of the image, one side per axis.
        latent: length of z.
        out_channels: of the image.
        classes: number of classes to choose from; 0 for none.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`; "batch" in the paper.
        spectral: spectral norm on every layer.
        last: see `layers.LAST`.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        latent: int = 64,
        out_channels: int = 1,
        classes: int = 0,
        widths: Sequence[int] = (16, 32, 64, 128),
        norm: str = "pixel",
        spectral: bool = False,
        last: str = "tanh",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size = spatial_dims, check_size(size, spatial_dims)
        self.latent, self.classes = (latent,), classes
        coarse = pyramid(self.size, len(widths) - 1)[-1]
        self.start = LatentGrid(latent, widths[-1], coarse, classes=classes, spectral=spectral)
        self.decoder = ConvolutionalDecoder(
            spatial_dims, out_channels, widths, norm=norm, spectral=spectral, smooth=True
        )
        self.last = chosen(LAST, last, "last")()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, for a network with classes, labels (n,) to (n, out_channels, *size)."""
        image: Tensor = self.last(self.decoder(self.start(z, labels), self.size))
        return image


class ResidualDiscriminator(Discriminator):
    """Residual blocks with halving, features pooled over the grid, one linear layer; any size.

    Source: Miyato et al., ICLR 2018, table 4, without batch statistics. With `spectral`, every layer's
    reshaped weight has norm 1, so the gradient with respect to the image is bounded: by a constant that
    depends on the widths of kernels and the number of blocks, not by 1.

    Args:
        in_channels: of all images given together, direction fields or other conditions included.
        classes: number of classes; 0 for none.
        widths: channels at 1/2, 1/4, ... of the resolution.
        blocks: residual blocks after the last halving.
        spectral: spectral norm on every layer.
        pool: "sum" over the grid, as in the paper, or "mean", whose scale does not depend on the size.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        classes: int = 0,
        widths: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        spectral: bool = True,
        pool: str = "sum",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.classes = spatial_dims, classes
        self._summed = chosen(_POOLINGS, pool, "pool")
        channels = [in_channels, *widths]
        self.shrink = nn.ModuleList(
            ResidualBlock(spatial_dims, channels[i], width, spectral=spectral, preactivate=i > 0)
            for i, width in enumerate(widths)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(spatial_dims, widths[-1], widths[-1], spectral=spectral) for _ in range(blocks)
        )
        self.head = ProjectionHead(widths[-1], classes=classes, spectral=spectral)

    def features(self, *images: Tensor) -> list[Tensor]:
        """(n, width, *spatial) after every halving, rounding up, then after the last block (activated)."""
        x, found = joined(images), []
        for block in self.shrink:
            x = halve(block(x))
            found.append(x)
        for block in self.blocks:
            x = block(x)
        return [*found, leaky(x)]

    def logits(self, last: Tensor, labels: Tensor | None = None) -> Tensor:
        """The last features and labels (n,) to logits (n,) in fp32."""
        cells = widened(last).flatten(2)
        logits: Tensor = self.head(cells.sum(2) if self._summed else cells.mean(2), labels)
        return logits
