"""Super-resolution: from thick slices, or a coarse grid, to a finer one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from medgan_core.errors import ModelError
from medgan_core.networks.layers import convolution, leaky, widened
from medgan_core.networks.residual_block import ResidualBlock

_MODES = {2: "bilinear", 3: "trilinear"}


class SuperResolutionGenerator(nn.Module):
    """A correction to linear interpolation, computed on the coarse grid and unfolded onto the fine one.

    Sources: Ledig et al., "Photo-realistic single image super-resolution using a GAN", CVPR 2017, figure 4,
    without its batch norm (Lim et al., "EDSR", 2017); sub-pixel convolution: Shi et al., CVPR 2016, per axis.
    No layer takes statistics over the image, so a tile computes what the whole does away from its border.
    Any size works.

    Convention: voxel i of the coarse grid covers the voxels ``f i`` to ``f i + f - 1`` of the fine one (the
    outer faces of both grids agree); that is what thick slices are.

    Attributes:
        factors: see below.
        multiple: 1, tiles may start anywhere.

    Args:
        factors: how many times finer along each axis, for example (1, 1, 4) for slices along the third one.
        in_channels: of the image; further contrasts may follow the ones that are made finer.
        out_channels: the first so many channels of the input are made finer.
        width: channels on the coarse grid.
        blocks: residual blocks.
        fine_width: channels on the fine grid.
        spatial_dims: 2 or 3.

    Raises:
        ModelError: when the factors are not positive whole numbers, one per axis.
    """

    multiple = 1

    def __init__(
        self,
        *,
        factors: Sequence[int],
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 48,
        blocks: int = 6,
        fine_width: int = 16,
        spatial_dims: int = 3,
    ) -> None:
        super().__init__()
        if spatial_dims not in _MODES or len(factors) != spatial_dims or min(factors) < 1:
            raise ModelError(
                "The factors do not fit the number of axes",
                expected="spatial_dims 2 or 3, and as many positive factors",
                got=f"spatial_dims {spatial_dims}, factors {tuple(factors)}",
                action="correct factors or spatial_dims in the architecture",
            )
        self.spatial_dims, self.factors, self.out_channels = spatial_dims, tuple(factors), out_channels
        self.stem = convolution(spatial_dims, in_channels, width)
        self.blocks = nn.Sequential(*(ResidualBlock(spatial_dims, width, width) for _ in range(blocks)))
        self.unfold = convolution(spatial_dims, width, fine_width * math.prod(factors))
        self.head = convolution(spatial_dims, fine_width, out_channels, gain=0.01)

    def interpolated(self, x: Tensor) -> Tensor:
        """The linear interpolation of (n, out_channels or more, *spatial) that is corrected."""
        finer = functional.interpolate(
            widened(x[:, : self.out_channels]),
            size=[side * factor for side, factor in zip(x.shape[2:], self.factors, strict=True)],
            mode=_MODES[self.spatial_dims],
            align_corners=False,
        )
        return finer

    def correction(self, x: Tensor) -> Tensor:
        """What (n, in_channels, *spatial) adds to `interpolated`: (n, out_channels, *(spatial * factors))."""
        features = self.stem(x)
        features = features + self.blocks(features)
        fine = unfold_voxels(self.unfold(leaky(features)), self.factors)
        correction: Tensor = self.head(leaky(fine))
        return correction

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to (n, out_channels, *(spatial * factors))."""
        return self.interpolated(x) + self.correction(x)


def unfold_voxels(x: Tensor, factors: Sequence[int]) -> Tensor:
    """Channels into voxels: (n, c * prod(factors), *spatial) to (n, c, *(spatial * factors)).

    Sub-pixel shuffling (Shi et al., CVPR 2016, equation 4) with a factor of its own for each axis; with
    equal factors in 2D it is `torch.nn.functional.pixel_shuffle`.
    """
    axes, size = len(factors), x.shape[2:]
    x = x.reshape(x.shape[0], -1, *factors, *size)
    order = [0, 1]
    for axis in range(axes):
        order += [2 + axes + axis, 2 + axis]
    finer = [side * factor for side, factor in zip(size, factors, strict=True)]
    return x.permute(order).reshape(*x.shape[:2], *finer)
