"""Makes a simulated image look as if it were scanned: what to add to it, and how much noise where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan_core.networks.slab_trunk import SlabTrunk, start


class SlabPainter(SlabTrunk):
    """``|base + change + weight * noise|``, change and weight predicted from slabs of base and noise.

    Changing an image by as little as makes it look real is the refiner of Shrivastava et al., "Learning from
    simulated and unsupervised images through adversarial training", CVPR 2017; noise as an input of the
    generator with learned weights is that of Karras et al., "StyleGAN", CVPR 2019, section 3.2. A fresh
    network returns nearly the base image. The features are interpolated and meet the slab again at full
    resolution: unfolded from 2x2 pixels, an adversarial loss would leave their grid in the image.
    The answer is a magnitude, as a scanner's is: noise in air does not fall below 0.

    Attributes:
        contrasts: 2, the base image and white noise. Further attributes are those of `inference.Signature`.

    Args:
        slices: neighbouring slices (odd) of both.
        widths: channels at 1/2, 1/4, ... of the resolution.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        fine: channels at full resolution.
    """

    outputs = 1

    def __init__(
        self,
        *,
        slices: int = 3,
        widths: Sequence[int] = (32, 64, 96),
        blocks: int = 1,
        fine: int = 16,
    ) -> None:
        super().__init__(contrasts=2, slices=slices, presence=False, widths=widths, blocks=blocks)
        self.grown = nn.Sequential(
            nn.Conv2d(widths[0], fine, 1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )
        self.meet = nn.Conv2d(fine + self.in_channels, fine, 3, padding=1)
        self.head = nn.Conv2d(fine, 2, 3, padding=1)
        start(self.head, 0.0, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2 * slices, h, w), the base's slices first, to (n, 1, h, w); h, w multiples of `multiple`."""
        features = self.grown(self.features(nn.functional.pixel_unshuffle(x, 2)))
        together = torch.relu(self.meet(torch.cat([features, x], dim=1)))
        change, weight = self.head(together).chunk(2, dim=1)
        middle = self.slices // 2
        base, noise = x[:, middle : middle + 1], x[:, self.slices + middle : self.slices + middle + 1]
        painted: Tensor = (base + change + weight * noise).abs()
        return painted
