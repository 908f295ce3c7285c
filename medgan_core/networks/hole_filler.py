"""Inpainting as it is served: an image and its hole in one tensor, the filled image out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.inpainting import InpaintingGenerator


class HoleFiller(nn.Module):
    """A 2D `InpaintingGenerator` whose image and hole are two channels.

    It is applied to a volume as any network of slabs with one slice is.

    Attributes:
        generator: the trained network.
        contrasts: 2, the image and the hole. Further attributes are those of `inference.Signature`.
        multiple: sides of a slice must be multiples of this.

    Args:
        widths: see `InpaintingGenerator`.
        convolutions: see `InpaintingGenerator`.
    """

    spatial_dims, contrasts, slices, presence, outputs = 2, 2, 1, False, 1

    def __init__(self, *, widths: Sequence[int], convolutions: str = "gated") -> None:
        super().__init__()
        self.generator = InpaintingGenerator(widths=widths, convolutions=convolutions)
        self.multiple = self.generator.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Predict the image, also where it is known.

        Args:
            x: (n, 2, h, w): the image, where 1 is the 99.5th percentile, and the hole, 1 where to fill; what
                the image holds there is not looked at.

        Returns:
            (n, 1, h, w).
        """
        known = 1 - x[:, 1:]
        filled = self.generator.filled((2 * x[:, :1] - 1) * known, known)
        return (filled + 1) / 2
