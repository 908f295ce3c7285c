"""Inpainting: a masked region filled from what surrounds it, by gated or partial convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.networks.layers import chosen, convolution, double, leaky
from medgan_core.networks.smooth_fill import LEVELS, smooth_fill

_CONVOLVE: dict[int, Callable[..., Tensor]] = {2: functional.conv2d, 3: functional.conv3d}


class GatedConvolution(nn.Module):
    """``leaky(conv(x)) * sigmoid(gate(x))``: the network learns where its features may be trusted.

    Source: Yu et al., "Free-form image inpainting with gated convolution", ICCV 2019, section 3.1.
    """

    def __init__(
        self,
        spatial_dims: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.both = convolution(spatial_dims, inputs, 2 * outputs, kernel, stride=stride, dilation=dilation)
        assert isinstance(self.both.weight, Tensor)
        with torch.no_grad():  # gates start half open, so the features start twice as large
            self.both.weight[:outputs].mul_(2)

    def forward(self, x: Tensor, known: Tensor | None = None) -> tuple[Tensor, None]:
        """(n, inputs, *spatial) to (n, outputs, *strided); `known` is not looked at."""
        values, gate = self.both(x).chunk(2, dim=1)
        return leaky(values) * torch.sigmoid(gate), None


class PartialConvolution(nn.Module):
    """A convolution over known voxels only, scaled by how few there are.

    ``conv(x * m) * K / sum(m) + b`` where any voxel of the window is known, else 0; K counts the window, m
    is 1 where known. The window's centre is known afterwards where any voxel was. Source: Liu et al., "Image
    inpainting for irregular holes using partial convolutions", ECCV 2018, equations 1 and 2. Voxels outside
    of the image count as unknown.
    """

    ones: Tensor

    def __init__(
        self,
        spatial_dims: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.convolve = convolution(
            spatial_dims, inputs, outputs, kernel, stride=stride, dilation=dilation, bias=False
        )
        self.bias = nn.Parameter(torch.zeros(outputs, *[1] * spatial_dims))
        self.stride, self.dilation, self.padding = stride, dilation, dilation * (kernel - 1) // 2
        self.register_buffer("ones", torch.ones(1, 1, *[kernel] * spatial_dims), persistent=False)

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Features and the share of known ones, (n, inputs, *spatial) and (n, 1, *spatial), to the next.

        x must be 0 where unknown. A share between 0 and 1 comes from features of two sources.
        """
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            seen = _CONVOLVE[x.dim() - 2](
                known.float(),
                self.ones.float(),
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
            )
            some = (seen > 0).float()
            scale = self.ones.numel() / seen.clamp(min=1e-6) * some
        values = self.convolve(x) * scale + self.bias
        return leaky(values) * some, some


CONVOLUTIONS: dict[str, type[GatedConvolution] | type[PartialConvolution]] = {
    "gated": GatedConvolution,
    "partial": PartialConvolution,
}


class InpaintingGenerator(nn.Module):
    """A U-Net of gated or partial convolutions with dilated ones at its coarsest resolution.

    It corrects the smooth surface over the hole (`smooth_fill`), which fills small holes well already.
    Sources: Yu et al., ICCV 2019 (gated), Liu et al., ECCV 2018 (partial), dilation as in Iizuka et al.,
    SIGGRAPH 2017. No layer takes statistics over the image, so a tile whose corner lies at multiples of
    `multiple` computes what the whole does away from its border. Any size works.

    Attributes:
        multiple: see above.

    Args:
        in_channels: of the image, without the mask.
        out_channels: images that are filled, the first channels of the input.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        dilations: of the convolutions at the coarsest resolution.
        convolutions: "gated" or "partial".
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 96),
        dilations: Sequence[int] = (1, 2, 4),
        convolutions: str = "gated",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.multiple = spatial_dims, 2 ** max(LEVELS[spatial_dims], len(widths) - 1)
        self.out_channels = out_channels
        kind = chosen(CONVOLUTIONS, convolutions, "convolutions")
        self.sees_surface = kind is GatedConvolution  # partial ones may see nothing where it is not known
        self.stem = kind(spatial_dims, in_channels * (1 + self.sees_surface) + 1, widths[0], 5)
        self.down = nn.ModuleList(kind(spatial_dims, a, b, stride=2) for a, b in pairwise(widths))
        self.middle = nn.ModuleList(
            kind(spatial_dims, widths[-1], widths[-1], dilation=dilation) for dilation in dilations
        )
        self.up = nn.ModuleList(kind(spatial_dims, a + b, a) for a, b in pairwise(widths))
        self.head = convolution(spatial_dims, widths[0], out_channels, gain=0.05)

    def forward(self, image: Tensor, hole: Tensor, *, paste: bool = True) -> Tensor:
        """Fill the hole.

        Args:
            image: (n, in_channels, *spatial); what it holds inside the hole is not looked at.
            hole: (n, 1, *spatial), 1 where the image is to be filled, 0 where it is known.
            paste: give back the image itself where it is known, exactly; else the prediction everywhere.

        Returns:
            (n, out_channels, *spatial).
        """
        known = (hole == 0).to(image.dtype)
        filled = self.filled(torch.where(hole == 0, image, torch.zeros_like(image)), known)
        if not paste:
            return filled
        return torch.where(hole == 0, image[:, : self.out_channels], filled.to(image.dtype))

    def filled(self, shown: Tensor, known: Tensor) -> Tensor:
        """The prediction everywhere.

        Args:
            shown: (n, in_channels, *spatial), 0 where not known.
            known: (n, 1, *spatial), 1 where the image is known, else 0.

        Returns:
            (n, out_channels, *spatial).
        """
        surface = smooth_fill(shown, known)
        guide = [surface] if self.sees_surface else []
        x, seen = self.stem(torch.cat([shown, *guide, known], dim=1), known)
        skips: list[tuple[Tensor, Tensor | None]] = []
        for down in self.down:
            skips.append((x, seen))
            x, seen = down(x, seen)
        for middle in self.middle:
            x, seen = middle(x, seen)
        for level in reversed(range(len(skips))):
            x, seen = self.up[level](*_join(x, seen, *skips[level]))
        filled: Tensor = surface[:, : self.out_channels] + self.head(x)
        return filled


def _join(
    x: Tensor, seen: Tensor | None, skip: Tensor, skip_seen: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Coarse features, doubled, beside finer ones, and the share of both that is known."""
    size, ours, theirs = skip.shape[2:], x.shape[1], skip.shape[1]
    joined = torch.cat([double(x, size), skip], dim=1)
    if seen is None or skip_seen is None:
        return joined, None
    return joined, (ours * double(seen, size) + theirs * skip_seen) / (ours + theirs)
