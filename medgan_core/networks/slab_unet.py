"""A U-Net that reads a slab of neighbouring slices and predicts the middle one.

Working half way between 2D and 3D suits clinical volumes, whose slices are often 3 to 7 mm apart: the
slices are never resampled, and neighbours still help. No layer takes statistics over its input, so a
tile computes exactly what the whole slice would (away from its border), and any size works.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medgan_core.networks.slab_trunk import SlabTrunk, start

_FIRST_LOG_SCALE = -3.0
_EDGE_FLOOR = 0.01


class SlabUNet(SlabTrunk):
    """`SlabTrunk` with heads for images and for the error to expect of them.

    Args:
        contrasts: images in the slab; the input has ``contrasts * slices`` channels, contrast first.
        slices: neighbouring slices (odd); the middle one is predicted.
        presence: append one constant channel per contrast that says whether it is there (1) or not (0).
        outputs: predicted images; the output has ``2 * outputs`` channels: values, then log scales.
        widths: channels at 1/2, 1/4, ... of the resolution.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        blend: add to each output a weighted sum of the contrasts' middle slices, with weights predicted for
            every 2x2 pixels (as kernel-predicting networks do, Bako et al. 2017, with one tap). What an input
            shows already need not pass through the network; a fresh network gives the inputs' mean.
    """

    def __init__(
        self,
        *,
        contrasts: int,
        outputs: int,
        slices: int = 3,
        presence: bool = False,
        widths: tuple[int, ...] = (48, 96, 128, 160),
        blocks: int = 1,
        blend: bool = False,
    ) -> None:
        super().__init__(contrasts=contrasts, slices=slices, presence=presence, widths=widths, blocks=blocks)
        self.outputs, self.blend = outputs, blend
        self.head = nn.Conv2d(widths[0], 4 * outputs, 3, padding=1)
        self.gates = nn.Conv2d(widths[0], contrasts * outputs, 3, padding=1) if blend else None
        known = widths[0] + outputs
        last = nn.Conv2d(widths[0] // 2, 4 * outputs, 3, padding=1)
        self.scale = nn.Sequential(nn.Conv2d(known, widths[0] // 2, 3, padding=1), nn.ReLU(), last)
        start(self.head, 0.0, std=1e-3)
        start(last, _FIRST_LOG_SCALE)
        if self.gates is not None:
            start(self.gates, 1 / contrasts)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) with h, w multiples of `multiple` to (n, 2 * outputs, h, w)."""
        folded = nn.functional.pixel_unshuffle(x, 2)
        features = self.features(folded)
        values = self.head(features)
        if self.gates is not None:
            values = values + self._blended(folded, self.gates(features))
        values = nn.functional.pixel_shuffle(values, 2)
        # The error is learned from what is known as it is, so predicting it costs the image nothing.
        known = torch.cat([features, _edges(values)], dim=1).detach()
        log_scales = nn.functional.pixel_shuffle(self.scale(known), 2)
        return torch.cat([values, log_scales], dim=1)

    def _blended(self, folded: Tensor, gates: Tensor) -> Tensor:
        """Weighted sums of the middle slices, folded: (n, 4 * outputs, h/2, w/2)."""
        # Channels are cut, not reshaped: an exported graph then holds no sizes.
        firsts = [4 * (c * self.slices + self.slices // 2) for c in range(self.contrasts)]
        images = [folded[:, first : first + 4] for first in firsts]
        parts = []
        for output in range(self.outputs):
            weights = gates[:, output * self.contrasts : (output + 1) * self.contrasts]
            terms = [weights[:, c : c + 1] * image for c, image in enumerate(images)]
            parts.append(sum(terms[1:], terms[0]))
        return torch.cat(parts, dim=1)


def _edges(values: Tensor) -> Tensor:
    """How much an image changes, as a logarithm, for every 2x2 pixels: (n, c, h, w) to (n, c, h/2, w/2).

    An image is wrongest at its edges, so the error's head is told where they are.
    """
    across = nn.functional.pad((values[..., 1:, :] - values[..., :-1, :]).abs(), (0, 0, 0, 1))
    along = nn.functional.pad((values[..., 1:] - values[..., :-1]).abs(), (0, 1))
    return torch.log(nn.functional.avg_pool2d(across + along, 2) + _EDGE_FLOOR)
