"""PatchGAN: a discriminator that judges every patch of an image by itself."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medgan_core.networks.discriminator import Discriminator, joined
from medgan_core.networks.layers import convolution, leaky, normalisation, widened


class PatchDiscriminator(Discriminator):
    """Strided convolutions and no pooling: one logit for every overlapping patch.

    With four widths a logit sees 70 voxels a side. Source: Isola et al., "Image-to-image translation with
    conditional adversarial networks", CVPR 2017, section 3.2.2 and appendix 6.1.2. The condition is
    concatenated to the image: ``discriminator(image, condition)``. Spectral norm (Miyato et al. 2018)
    stands in for batch norm by default.

    Args:
        in_channels: of all images given together, the condition included.
        widths: channels at 1/2, 1/4, ... of the resolution; the last width keeps that of the one before.
        norm: after every convolution but the first and the last, see `layers.NORMALISATIONS`.
        spectral: spectral norm on every convolution.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 128),
        norm: str = "none",
        spectral: bool = True,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        channels = [in_channels, *widths]
        strides = [2] * (len(widths) - 1) + [1]
        self.convolutions = nn.ModuleList(
            convolution(spatial_dims, channels[i], width, 4, stride=stride, spectral=spectral)
            for i, (width, stride) in enumerate(zip(widths, strides, strict=True))
        )
        names = ["none"] + [norm] * (len(widths) - 1)
        self.norms = nn.ModuleList(
            normalisation(name, spatial_dims, width) for name, width in zip(names, widths, strict=True)
        )
        self.head = convolution(spatial_dims, widths[-1], 1, 4, gain=0.7, spectral=spectral)

    def features(self, *images: Tensor) -> list[Tensor]:
        """(n, width, *spatial) after every convolution, activated, finest first."""
        x, found = joined(images), []
        for convolve, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky(norm(convolve(x)))
            found.append(x)
        return found

    def logits(self, last: Tensor, labels: Tensor | None = None) -> Tensor:
        """The last features to one logit a patch, (n, 1, *patches) in fp32; labels are not used."""
        logits: Tensor = self.head(last)
        return widened(logits)
