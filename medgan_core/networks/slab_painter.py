"""Makes a simulated image look as if it were scanned: what to add to it, and how much noise where."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import torch
from torch import Tensor, nn

from medgan_core.networks.folding import binomial
from medgan_core.networks.slab_trunk import SlabTrunk, start

_BLURS = (0, 1, 4)
"""How often the noise passes a binomial filter before it is weighted: the grains of texture."""


class SlabPainter(SlabTrunk):
    """``|base + change + sum of |weight| * grain|``, change and weights predicted from the base alone.

    Changing an image by as little as makes it look real is the refiner of Shrivastava et al., "Learning from
    simulated and unsupervised images through adversarial training", CVPR 2017; noise with learned weights is
    that of Karras et al., "StyleGAN", CVPR 2019, section 3.2. Grains are white noise, smoothed more or less
    and scaled to variance 1: whatever the weights, texture is as coarse along one axis as along the other,
    and as none is subtracted, never finer than white noise. A fresh network returns nearly the base image.
    The features are interpolated and meet the slab again at full resolution: unfolded from 2x2 pixels, an
    adversarial loss would leave their grid in the image. The answer is a magnitude, as a scanner's is: noise
    in air does not fall below 0.

    Attributes:
        contrasts: 2, the base image and white noise. Further attributes are those of `inference.Signature`.

    Args:
        slices: neighbouring slices (odd) of both; of the noise the middle one is used.
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
        super().__init__(contrasts=1, slices=slices, presence=False, widths=widths, blocks=blocks)
        self.contrasts, self.in_channels = 2, 2 * slices
        self.grown = nn.Sequential(
            nn.Conv2d(widths[0], fine, 1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )
        self.meet = nn.Conv2d(fine + slices, fine, 3, padding=1)
        self.head = nn.Conv2d(fine, 1 + len(_BLURS), 3, padding=1)
        start(self.head, 0.0, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2 * slices, h, w), the base's slices first, to (n, 1, h, w); h, w multiples of `multiple`."""
        slab, noise = x.chunk(2, dim=1)
        features = self.grown(self.features(nn.functional.pixel_unshuffle(slab, 2)))
        together = torch.relu(self.meet(torch.cat([features, slab], dim=1)))
        change, weights = self.head(together).split((1, len(_BLURS)), dim=1)
        middle = slice(self.slices // 2, self.slices // 2 + 1)
        texture = (weights.abs() * grains(noise[:, middle])).sum(dim=1, keepdim=True)
        painted: Tensor = (slab[:, middle] + change + texture).abs()
        return painted


def grains(noise: Tensor) -> Tensor:
    """White noise (n, 1, h, w) as grains of growing size, (n, grains, h, w), all of the same variance."""
    found, done = [], 0
    for blurs in _BLURS:
        for _ in range(blurs - done):
            noise = binomial(noise)
        done = blurs
        # Squared weights of the filter, once for both axes: their sum along one is its deviation in two.
        found.append(noise * (16**blurs / comb(4 * blurs, 2 * blurs)))
    return torch.cat(found, dim=1)
