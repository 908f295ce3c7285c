"""f-AnoGAN as it is served: how far each patch of an image is from what its generator makes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medgan_core.networks.latent_encoder import LatentEncoder
from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator


class PatchAnomaly(nn.Module):
    """Encode, generate again, compare: a map and a score for every patch of a grid of patches.

    Patches lie side by side without overlap and do not see each other, so an image of any multiple of their
    size is taken; overlap comes from applying it to shifted images. Source: Schlegl et al., "f-AnoGAN",
    Medical Image Analysis 2019, section 2.3.

    Attributes:
        generator: of usual patches.
        discriminator: its critic, whose last features count in the score.
        encoder: to the generator's latent.
        contrasts: 1. Further attributes are those of `inference.Signature`.
        multiple: side of a patch.

    Args:
        size: side of a patch in pixels.
        latent: length of z.
        widths: of all three networks, see `training.recipes.f_anogan`.
        kappa: weight of the features in the score.
    """

    spatial_dims, contrasts, slices, presence, outputs = 2, 1, 1, False, 2

    def __init__(self, *, size: int, latent: int, widths: Sequence[int], kappa: float = 1.0) -> None:
        super().__init__()
        self.multiple, self.kappa = size, kappa
        sides = (size, size)
        self.generator = ResidualGenerator(size=sides, latent=latent, widths=widths, spatial_dims=2)
        self.discriminator = ResidualDiscriminator(widths=list(widths[1:]), spectral=False, spatial_dims=2)
        self.encoder = LatentEncoder(size=sides, latent=latent, widths=widths, spatial_dims=2)

    def forward(self, x: Tensor) -> Tensor:
        """Compare every patch with what the generator makes of it.

        Args:
            x: (n, 1, h, w), 1 is the 99.5th percentile; h and w are multiples of `multiple`.

        Returns:
            (n, 2, h, w): ``|x - G(E(x))|`` in the scale of the image, and the score
            ``|x - G(E(x))|^2 / n + kappa |f(x) - f(G(E(x)))|^2 / n_f`` of images in [-1, 1], the same number
            over the whole patch.
        """
        count, side = x.shape[0], self.multiple
        rows, columns = x.shape[2] // side, x.shape[3] // side
        grid = x.reshape(count, 1, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
        patches = 2 * grid.reshape(-1, 1, side, side) - 1
        again = self.generator(self.encoder(patches))
        away = (patches - again).abs()
        there, here = (self.discriminator.features(images)[-1] for images in (patches, again))
        score = _mean_square(patches - again) + self.kappa * _mean_square(there - here)
        both = torch.cat([away / 2, score[:, None, None, None].expand_as(away)], dim=1)
        tiles = both.reshape(count, rows, columns, 2, side, side).permute(0, 3, 1, 4, 2, 5)
        return tiles.reshape(count, 2, rows * side, columns * side)


def _mean_square(difference: Tensor) -> Tensor:
    return difference.square().flatten(1).mean(1)
