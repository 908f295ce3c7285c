"""A small 3D network that says what a whole volume shows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VolumeClassifier(nn.Module):
    """Strided 3D convolutions, global average and maximum, one linear layer.

    Args:
        classes: numbers it gives (logits).
        widths: channels after each halving of the grid.
    """

    spatial_dims = 3

    def __init__(self, *, classes: int, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in widths:
            layers += [nn.Conv3d(before, width, 3, stride=2, padding=1), nn.ReLU()]
            layers += [nn.Conv3d(width, width, 3, padding=1), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.classify = nn.Linear(2 * before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, i, j, k) to logits (n, classes)."""
        features = self.features(x).flatten(2)
        pooled = torch.cat([features.mean(2), features.amax(2)], dim=1)
        logits: Tensor = self.classify(self.dropout(pooled))
        return logits
