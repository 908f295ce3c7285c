"""The body of the networks that read a slab of neighbouring slices: a residual U-Net on folded pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, 3x3, the same width, no normalisation.

    The second convolution starts at zero, so a deep stack starts as the identity (Zhang et al., "Fixup
    initialization", ICLR 2019, without its scalar biases).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape."""
        change: Tensor = self.second(torch.relu(self.first(x)))
        return x + change


class SlabTrunk(nn.Module):
    """Residual U-Net (Ronneberger et al., MICCAI 2015) from a pixel-unshuffled slab to features.

    The first step folds 2x2 pixels into channels (Shi et al. 2016 backwards, as in FFDNet, Zhang et al.
    2018), which takes the costly full-resolution layers away; heads unfold what they give.

    Args:
        contrasts: images in the slab; the input has ``contrasts * slices`` channels, contrast first.
        slices: neighbouring slices (odd); the middle one is predicted.
        presence: append one constant channel per contrast that says whether it is there (1) or not (0).
        widths: channels at 1/2, 1/4, ... of the resolution.
        blocks: residual blocks at each resolution, on the way down and on the way up.
    """

    spatial_dims = 2

    def __init__(
        self, *, contrasts: int, slices: int, presence: bool, widths: Sequence[int], blocks: int
    ) -> None:
        super().__init__()
        self.contrasts, self.slices, self.presence = contrasts, slices, presence
        self.in_channels = contrasts * (slices + int(presence))
        self.multiple = 2 ** len(widths)
        self.stem = nn.Conv2d(4 * self.in_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(blocks))) for width in widths
        )
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.grow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, a, 1), nn.Upsample(scale_factor=2, mode="nearest"))
            for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2 * width, width, 3, padding=1),
                *(ResidualBlock(width) for _ in range(blocks)),
            )
            for width in widths[:-1]
        )

    def features(self, folded: Tensor) -> Tensor:
        """(n, 4 * in_channels, h/2, w/2) to (n, widths[0], h/2, w/2); h, w are multiples of `multiple`."""
        features: Tensor = self.stem(folded)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(features)
            if level < len(self.shrink):
                skips.append(features)
                features = self.shrink[level](features)
        for level in reversed(range(len(self.up))):
            features = self.up[level](torch.cat([self.grow[level](features), skips[level]], dim=1))
        return features


def start(layer: nn.Conv2d, bias: float, *, std: float = 0.0) -> None:
    """Begin with (nearly) nothing but the bias."""
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
