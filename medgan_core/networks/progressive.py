"""Progressive growing: a generator and a discriminator whose resolution grows in stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.networks.equalised import EqualisedConvolution, EqualisedLinear, MinibatchDeviation
from medgan_core.networks.layers import (
    LAST,
    SLOPE,
    PixelNorm,
    check_size,
    chosen,
    double,
    halve,
    leaky,
    pyramid,
    widened,
)


class ProgressiveGenerator(nn.Module):
    """Images at the resolution of a stage, each stage twice as fine as the one before.

    ``alpha`` fades a stage in: the image is ``(1 - alpha)`` times that of the previous stage, doubled, plus
    ``alpha`` times its own. Source: Karras et al., "Progressive growing of GANs", ICLR 2018, figure 2 and
    table 2; the images are mixed before `last`, which is linear in the paper.

    Attributes:
        latent: shape of one latent without the batch axis, (latent,); standard normal, scaled to the
            sphere by the network.
        sizes: of the images of stage 0, 1, ..., coarsest first.

    Args:
        size: of the image of the last stage, one side per axis.
        latent: length of z.
        out_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it; there are as many stages.
        last: see `layers.LAST`.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        latent: int = 64,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        last: str = "tanh",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.latent = spatial_dims, (latent,)
        self.sizes = pyramid(check_size(size, spatial_dims), len(widths) - 1)[::-1]
        growing = list(widths)[::-1]
        cells = (growing[0], *self.sizes[0])
        # A kernel as large as the grid on a single voxel is a linear layer; the paper's gain for it is small.
        self.start = EqualisedLinear(latent, math.prod(cells), gain=math.sqrt(2) / 4)
        self._cells = cells
        self.norm = PixelNorm()
        self.first = EqualisedConvolution(spatial_dims, growing[0], growing[0])
        self.stages = nn.ModuleList(
            nn.Sequential(
                EqualisedConvolution(spatial_dims, a, b),
                nn.LeakyReLU(SLOPE),
                PixelNorm(),
                EqualisedConvolution(spatial_dims, b, b),
                nn.LeakyReLU(SLOPE),
                PixelNorm(),
            )
            for a, b in pairwise(growing)
        )
        self.to_image = nn.ModuleList(
            EqualisedConvolution(spatial_dims, width, out_channels, 1, gain=1.0) for width in growing
        )
        self.last = chosen(LAST, last, "last")()

    def forward(self, z: Tensor, *, stage: int | None = None, alpha: float = 1.0) -> Tensor:
        """(n, latent) to (n, out_channels, *sizes[stage]).

        Args:
            z: latents.
            stage: 0 for the coarsest images; None for the last stage.
            alpha: from 0 (the previous stage's image, doubled) to 1.

        Raises:
            UsageError: when there is no such stage.
        """
        stage = _stage(stage, len(self.sizes))
        x = self.norm(leaky(self.start(self.norm(z)).unflatten(1, self._cells)))
        x = before = self.norm(leaky(self.first(x)))
        for level in range(stage):
            before, x = x, self.stages[level](double(x, self.sizes[level + 1]))
        image: Tensor = self.to_image[stage](x)
        if stage and alpha < 1:
            previous = double(self.to_image[stage - 1](before), self.sizes[stage])
            image = previous + alpha * (image - previous)
        shown: Tensor = self.last(image)
        return shown


class ProgressiveDiscriminator(nn.Module):
    """The generator's mirror: images at the resolution of a stage to logits, faded in the same way.

    Source: Karras et al., ICLR 2018, figure 2 and table 2, with the minibatch standard deviation before the
    last convolution, so logits depend on the whole batch.

    Args:
        size: of the image of the last stage, one side per axis.
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it; there are as many stages.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.sizes = pyramid(check_size(size, spatial_dims), len(widths) - 1)[::-1]
        growing = list(widths)[::-1]
        self.from_image = nn.ModuleList(
            EqualisedConvolution(spatial_dims, in_channels, width, 1) for width in growing
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                EqualisedConvolution(spatial_dims, b, b),
                nn.LeakyReLU(SLOPE),
                EqualisedConvolution(spatial_dims, b, a),
                nn.LeakyReLU(SLOPE),
            )
            for a, b in pairwise(growing)
        )
        self.deviation = MinibatchDeviation()
        self.end = EqualisedConvolution(spatial_dims, growing[0] + 1, growing[0])
        self.dense = EqualisedLinear(growing[0] * math.prod(self.sizes[0]), growing[0])
        self.score = EqualisedLinear(growing[0], 1, gain=1.0)

    def forward(self, x: Tensor, *, stage: int | None = None, alpha: float = 1.0) -> Tensor:
        """(n, in_channels, *sizes[stage]) to logits (n,) in fp32.

        Args:
            x: images at the resolution of the stage.
            stage: 0 for the coarsest images; None for the last stage.
            alpha: from 0 (only the halved image counts) to 1.

        Raises:
            UsageError: when there is no such stage.
        """
        stage = _stage(stage, len(self.sizes))
        features = leaky(self.from_image[stage](x))
        for level in reversed(range(stage)):
            features = halve(self.stages[level](features))
            if level == stage - 1 and alpha < 1:
                previous = leaky(self.from_image[level](halve(x)))
                features = previous + alpha * (features - previous)
        features = leaky(self.end(self.deviation(features)))
        logits: Tensor = self.score(leaky(self.dense(features.flatten(1))))
        return widened(logits.squeeze(1))


def _stage(stage: int | None, stages: int) -> int:
    if stage is None:
        return stages - 1
    if not 0 <= stage < stages:
        raise UsageError(
            "The network has no such stage",
            expected=f"0 to {stages - 1}",
            got=str(stage),
            action="choose one of these stages",
        )
    return stage
