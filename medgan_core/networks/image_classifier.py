"""A small network that says what an image, a patch or a crop shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan_core.networks.coders import ConvolutionalEncoder
from medgan_core.networks.layers import linear, widened


class ImageClassifier(nn.Module):
    """Strided convolutions and residual blocks, global mean and maximum, one linear layer; any size.

    The descent from LeCun et al., "Gradient-based learning applied to document recognition", 1998, with
    residual blocks and group norm. Its features also serve to compare sets of images.

    Attributes:
        width: length of the features.

    Args:
        classes: numbers it gives (logits).
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`.
        dropout: share of the features hidden in training.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 96),
        norm: str = "group",
        dropout: float = 0.2,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.classes, self.width = spatial_dims, classes, 2 * widths[-1]
        self.encoder = ConvolutionalEncoder(spatial_dims, in_channels, widths, norm=norm)
        self.dropout = nn.Dropout(dropout)
        self.classify = linear(self.width, classes, gain=0.7)

    def features(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to (n, width) in fp32: means over the grid, then maxima."""
        cells = widened(self.encoder(x)).flatten(2)
        return torch.cat([cells.mean(2), cells.amax(2)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, *spatial) to logits (n, classes) in fp32."""
        logits: Tensor = self.classify(self.dropout(self.features(x)))
        return widened(logits)
