"""A U-Net that reads a slab of neighbouring slices and says what each pixel of the middle one shows."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.slab_trunk import SlabTrunk, start


class SlabSegmenter(SlabTrunk):
    """`SlabTrunk` with one logit per class.

    No layer takes statistics over its input, so a tile computes what the whole slice would.

    Attributes:
        outputs: `classes`; with it the network has the attributes of `inference.Signature`.

    Args:
        contrasts: images in the slab; the input has ``contrasts * slices`` channels, contrast first.
        classes: background included, which is class 0.
        slices: neighbouring slices (odd); the middle one is predicted.
        presence: append one constant channel per contrast that says whether it is there (1) or not (0).
        widths: channels at 1/2, 1/4, ... of the resolution.
        blocks: residual blocks at each resolution, on the way down and on the way up.
    """

    def __init__(
        self,
        *,
        contrasts: int,
        classes: int,
        slices: int = 5,
        presence: bool = False,
        widths: Sequence[int] = (48, 96, 128),
        blocks: int = 1,
    ) -> None:
        super().__init__(contrasts=contrasts, slices=slices, presence=presence, widths=widths, blocks=blocks)
        self.classes = self.outputs = classes
        self.head = nn.Conv2d(widths[0], 4 * classes, 3, padding=1)
        start(self.head, 0.0, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the middle slice.

        Args:
            x: (n, in_channels, h, w) with h, w multiples of `multiple`.

        Returns:
            (n, classes, h, w).
        """
        logits = self.head(self.features(nn.functional.pixel_unshuffle(x, 2)))
        return nn.functional.pixel_shuffle(logits, 2)
