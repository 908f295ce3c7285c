"""A segmentation network: the U-Net with statistics and one logit per class."""

from __future__ import annotations

from collections.abc import Sequence

from medgan_core.networks.image_to_image import UNetGenerator


class SegmentationUNet(UNetGenerator):
    """U-Net from an image to logits of classes, with group norm, for any size.

    Source: Ronneberger et al., "U-Net", MICCAI 2015. The forward pass takes (n, in_channels, *spatial) and
    gives logits (n, classes, *spatial), background first.

    Args:
        classes: background included.
        in_channels: of the image.
        widths: channels at the full resolution, at 1/2, 1/4, ... of it.
        norm: see `layers.NORMALISATIONS`; with "pixel" a tile computes what the whole does.
        dropout: share of the coarsest features hidden in training.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64, 128),
        norm: str = "group",
        dropout: float = 0.1,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=classes,
            widths=widths,
            norm=norm,
            dropout=dropout,
            last="linear",
            spatial_dims=spatial_dims,
        )
        self.classes = classes
