"""SPADE: from a label map to an image, with a style that may be sampled or taken from an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from medgan_core.errors import UsageError
from medgan_core.networks.coders import ConvolutionalEncoder
from medgan_core.networks.layers import (
    LAST,
    chosen,
    convolution,
    double,
    halve,
    leaky,
    linear,
    normalisation,
    widened,
)

_LOG_VARIANCE = (-20.0, 10.0)


class SpatialModulation(nn.Module):
    """``norm(x) (1 + gamma(labels, style)) + beta(labels, style)``.

    Source: Park et al., "Semantic image synthesis with spatially-adaptive normalization", CVPR 2019,
    equations 1 to 3. The style adds one gamma and beta per channel, the same everywhere.

    Args:
        spatial_dims: 2 or 3.
        channels: of x.
        labels: channels of the label map.
        style: length of the style code; 0 for none.
        hidden: channels between the label map and gamma and beta.
        norm: "pixel" takes no statistics; "batch" and "instance" are the paper's kinds.
        spectral: spectral norm on the convolutions.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        labels: int,
        *,
        style: int = 0,
        hidden: int = 32,
        norm: str = "pixel",
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.norm = normalisation(norm, spatial_dims, channels)
        self.shared = convolution(spatial_dims, labels, hidden, spectral=spectral)
        self.modulate = convolution(spatial_dims, hidden, 2 * channels, gain=0.3, spectral=spectral)
        self.style = linear(style, 2 * channels, gain=0.3) if style else None

    def forward(self, x: Tensor, labels: Tensor, style: Tensor | None) -> Tensor:
        """(n, channels, *spatial), one-hot labels of the same size and styles (n, style) to the first."""
        modulation = self.modulate(leaky(self.shared(labels)))
        if self.style is not None:
            per_channel = self.style(style)
            modulation = modulation + per_channel.reshape(*per_channel.shape, *[1] * (x.dim() - 2))
        gamma, beta = modulation.chunk(2, dim=1)
        out: Tensor = self.norm(x) * (1 + gamma) + beta
        return out


class _Block(nn.Module):
    """The SPADE residual block (Park et al. 2019, figure 4); the shortcut is a plain convolution."""

    def __init__(
        self, dims: int, inputs: int, outputs: int, labels: int, style: int, hidden: int, norm: str, sn: bool
    ) -> None:
        super().__init__()
        self.modulations = nn.ModuleList(
            SpatialModulation(dims, width, labels, style=style, hidden=hidden, norm=norm, spectral=sn)
            for width in (inputs, outputs)
        )
        self.first = convolution(dims, inputs, outputs, spectral=sn)
        self.second = convolution(dims, outputs, outputs, gain=0.3, spectral=sn)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else convolution(dims, inputs, outputs, 1, gain=0.7, spectral=sn)
        )

    def forward(self, x: Tensor, labels: Tensor, style: Tensor | None) -> Tensor:
        change = self.first(leaky(self.modulations[0](x, labels, style)))
        change = self.second(leaky(self.modulations[1](change, labels, style)))
        out: Tensor = self.shortcut(x) + change
        return out


class SpadeGenerator(nn.Module):
    """From a one-hot label map to an image; every block reads the map again at its own resolution.

    It starts from the map at the coarsest resolution, so with `norm` "pixel" or "none" a tile whose corner
    lies at multiples of `multiple` computes what the whole does away from its border. Coarser maps are means
    of finer ones, so small structures fade instead of vanishing. Any size works.

    Attributes:
        latent: shape of one style code without the batch axis, (style,); standard normal.
        multiple: see above.

    Args:
        labels: channels of the label map, background included.
        style: length of the style code; 0 for none.
        out_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        hidden: see `SpatialModulation`.
        norm: see `SpatialModulation`.
        spectral: spectral norm on every convolution, as in the paper.
        last: see `layers.LAST`.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        labels: int,
        style: int = 16,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 96),
        hidden: int = 32,
        norm: str = "pixel",
        spectral: bool = False,
        last: str = "tanh",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.multiple = spatial_dims, 2 ** (len(widths) - 1)
        self.labels, self.latent = labels, (style,)
        self.start = convolution(spatial_dims, labels, widths[-1], spectral=spectral)
        pairs = [(widths[-1], widths[-1]), *((b, a) for a, b in reversed(list(pairwise(widths))))]
        self.blocks = nn.ModuleList(
            _Block(spatial_dims, a, b, labels, style, hidden, norm, spectral) for a, b in pairs
        )
        self.head = convolution(spatial_dims, widths[0], out_channels, gain=0.5, spectral=spectral)
        self.last = chosen(LAST, last, "last")()

    def forward(self, labels: Tensor, style: Tensor | None = None) -> Tensor:
        """(n, labels, *spatial), one-hot as float, and styles (n, style) to (n, out_channels, *spatial).

        Raises:
            UsageError: when the network was built for styles and there is none.
        """
        if style is None and self.latent[0]:
            raise UsageError(
                "The network was built for styles and needs one for each sample",
                expected=f"style (n, {self.latent[0]})",
                got="no style",
                action="pass standard normal numbers or a style encoder's, or build it with style=0",
            )
        maps = [labels]
        for _ in self.blocks[1:]:
            maps.append(halve(maps[-1]))
        x = self.start(maps[-1])
        for number, (block, level) in enumerate(zip(self.blocks, maps[::-1], strict=True)):
            x = double(x, level.shape[2:]) if number else x
            x = block(x, level, style)
        image: Tensor = self.last(self.head(leaky(x)))
        return image


class StyleEncoder(nn.Module):
    """From an image to a Gaussian over styles (Park et al. 2019, figure 14), for any size.

    Attributes:
        latent: shape of one style code without the batch axis, (style,).

    Args:
        style: length of the style code.
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`; instance norm, as in the paper, hides contrast from the style.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        style: int = 16,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 96),
        norm: str = "none",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.latent = spatial_dims, (style,)
        self.encoder = ConvolutionalEncoder(spatial_dims, in_channels, widths, norm=norm)
        self.to_style = linear(widths[-1], 2 * style, gain=0.7)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, in_channels, *spatial) to mean and log variance, each (n, style), in fp32.

        The features are averaged over the grid; the log variance is kept within [-20, 10].
        """
        cells = widened(self.encoder(x)).flatten(2)
        code: Tensor = self.to_style(cells.mean(2))
        mean, log_variance = widened(code).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)
