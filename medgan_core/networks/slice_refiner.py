"""Super-resolution as it is served: what to add to thick slices, one image for each thin slice."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.super_resolution import SuperResolutionGenerator


class SliceRefiner(nn.Module):
    """The correction of a 2D `SuperResolutionGenerator`, with the thin slices as channels.

    The generator makes the axis w of (h, w) finer. Here the `factor` fine pixels of each coarse one stand
    behind each other instead: the answer has the size of the input, so that it is applied to a volume as any
    network of slabs with one slice is. Linear interpolation, which the correction is added to, is left to
    the caller, who knows the volume's own pixels.

    Attributes:
        generator: the trained network.
        contrasts: 1. Further attributes are those of `inference.Signature`.
        outputs: `factor`.

    Args:
        factor: thin slices per thick one.
        widths: of the generator on the coarse and the fine grid.
        blocks: residual blocks of the generator.
    """

    spatial_dims, contrasts, slices, presence, multiple = 2, 1, 1, False, 8

    def __init__(self, *, factor: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.outputs = factor
        self.generator = SuperResolutionGenerator(
            factors=(1, factor), width=widths[0], fine_width=widths[1], blocks=blocks, spatial_dims=2
        )

    def forward(self, x: Tensor) -> Tensor:
        """Corrections in the scale of the image.

        Args:
            x: (n, 1, h, w), 1 is the 99.5th percentile, the thick slices along w.

        Returns:
            (n, factor, h, w): channel p corrects fine pixel ``factor w + p``.
        """
        fine = self.generator.correction(2 * x - 1)[:, 0] / 2
        return fine.reshape(*fine.shape[:2], x.shape[3], self.outputs).permute(0, 3, 1, 2)
