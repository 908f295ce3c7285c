"""DCGAN: the plain convolutional generator and discriminator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from medgan_core.errors import ModelError
from medgan_core.networks.discriminator import Discriminator, ProjectionHead, joined
from medgan_core.networks.latent_grid import LatentGrid
from medgan_core.networks.layers import (
    LAST,
    check_size,
    chosen,
    convolution,
    crop,
    double,
    initialised,
    leaky,
    normalisation,
    pyramid,
)

_TRANSPOSED: dict[int, type[nn.ConvTranspose2d] | type[nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}


class DCGANGenerator(nn.Module):
    """A linear layer to a coarse grid, then doubling, convolution, normalisation and ReLU up to the image.

    Source: Radford et al., "Unsupervised representation learning with DCGANs", ICLR 2016, section 3. It
    differs in doubling by repeated voxels instead of transposed convolutions, which leave checkerboards
    (Odena et al., Distill 2016), in He's initialisation, and in leaky ReLU.

    Attributes:
        latent: shape of one latent without the batch axis, (latent,); standard normal.

    Args:
        size: of the image, one side per axis.
        latent: length of z.
        out_channels: of the image.
        classes: number of classes to choose from; 0 for none.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`; "batch" in the paper.
        transposed: transposed convolutions with 4-voxel kernels, as in the paper.
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
        norm: str = "batch",
        transposed: bool = False,
        last: str = "tanh",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size = spatial_dims, check_size(size, spatial_dims)
        self.latent, self.classes, self.transposed = (latent,), classes, transposed
        coarse = pyramid(self.size, len(widths) - 1)[-1]
        self.start = LatentGrid(latent, widths[-1], coarse, classes=classes)
        self.norm = normalisation(norm, spatial_dims, widths[-1])
        pairs = list(pairwise(widths))[::-1]
        self.grow = nn.ModuleList(self._step(coarser, finer) for finer, coarser in pairs)
        self.norms = nn.ModuleList(normalisation(norm, spatial_dims, finer) for finer, _ in pairs)
        self.head = convolution(spatial_dims, widths[0], out_channels, gain=0.5)
        self.last = chosen(LAST, last, "last")()

    def _step(self, inputs: int, outputs: int) -> nn.Module:
        if not self.transposed:
            return convolution(self.spatial_dims, inputs, outputs)
        layer = _TRANSPOSED[self.spatial_dims](inputs, outputs, 4, stride=2, padding=1)
        return initialised(layer)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, for a network with classes, labels (n,) to (n, out_channels, *size)."""
        x = leaky(self.norm(self.start(z, labels)))
        sizes = pyramid(self.size, len(self.grow))[-2::-1]
        for grow, norm, finer in zip(self.grow, self.norms, sizes, strict=True):
            x = crop(grow(x), finer) if self.transposed else grow(double(x, finer))
            x = leaky(norm(x))
        image: Tensor = self.last(self.head(x))
        return image


class DCGANDiscriminator(Discriminator):
    """Convolutions with 4-voxel kernels and stride 2, leaky ReLU, then one linear layer.

    Source: Radford et al., ICLR 2016, section 3; the class enters by projection (`ProjectionHead`).

    Args:
        size: of the image, at least ``2 ** len(widths)`` voxels a side.
        in_channels: of all images given together.
        classes: number of classes; 0 for none.
        widths: channels at 1/2, 1/4, ... of the resolution.
        norm: after every convolution but the first; "batch" in the paper, to be left out ("none") with a
            gradient penalty.
        spectral: spectral norm on every layer.
        spatial_dims: 2 or 3.

    Raises:
        ModelError: when the size is too small for so many halvings.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        in_channels: int = 1,
        classes: int = 0,
        widths: Sequence[int] = (32, 64, 128),
        norm: str = "batch",
        spectral: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.size, self.classes = spatial_dims, check_size(size, spatial_dims), classes
        coarse = [side >> len(widths) for side in self.size]
        if min(coarse) < 1:
            raise ModelError(
                "The image is too small for this discriminator",
                expected=f"at least {2 ** len(widths)} voxels a side",
                got=f"size {self.size}",
                action="give fewer widths",
            )
        channels = [in_channels, *widths]
        self.shrink = nn.ModuleList(
            convolution(spatial_dims, a, b, 4, stride=2, spectral=spectral) for a, b in pairwise(channels)
        )
        names = ["none"] + [norm] * (len(widths) - 1)
        self.norms = nn.ModuleList(
            normalisation(name, spatial_dims, width) for name, width in zip(names, widths, strict=True)
        )
        self.head = ProjectionHead(widths[-1] * math.prod(coarse), classes=classes, spectral=spectral)

    def features(self, *images: Tensor) -> list[Tensor]:
        """(n, width, *spatial) after every halving, rounding down, finest first."""
        x, found = joined(images), []
        for shrink, norm in zip(self.shrink, self.norms, strict=True):
            x = leaky(norm(shrink(x)))
            found.append(x)
        return found

    def logits(self, last: Tensor, labels: Tensor | None = None) -> Tensor:
        """The last features and labels (n,) to logits (n,) in fp32."""
        logits: Tensor = self.head(last.flatten(1), labels)
        return logits
