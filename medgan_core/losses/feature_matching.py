"""Generated images should look real to the inner layers of the discriminator.

Both losses are for the generator: the features of real images are a target and get no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medgan_core.errors import UsageError


def mean_feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """``||E f(x) - E f(G(z))||^2`` over a batch, averaged over the elements of a layer and over layers.

    For images without a partner. Source: Salimans et al., "Improved techniques for training GANs", NeurIPS
    2016, section 3.1 (there the sum over the elements of one layer).

    Args:
        fake: features of generated images, one tensor (n, c, ...) per layer.
        real: features of real images; n may differ.

    Returns:
        Scalar.

    Raises:
        UsageError: when the layers do not correspond.
    """
    _check(fake, real)
    terms = [((f.mean(0) - r.detach().mean(0)) ** 2).mean() for f, r in zip(fake, real, strict=True)]
    return torch.stack(terms).mean()


def paired_feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """``sum over layers of E|f(s, x) - f(s, G(s))|``, the mean over the elements of each layer.

    For images with a partner. Source: Wang et al., "High-resolution image synthesis and semantic manipulation
    with conditional GANs" (pix2pixHD), CVPR 2018, equation 4.

    Args:
        fake: features of generated images, one tensor (n, c, ...) per layer.
        real: features of their targets, the same shapes.

    Returns:
        Scalar.

    Raises:
        UsageError: when the layers do not correspond.
    """
    _check(fake, real)
    terms = [(f - r.detach()).abs().mean() for f, r in zip(fake, real, strict=True)]
    return torch.stack(terms).sum()


def _check(fake: Sequence[Tensor], real: Sequence[Tensor]) -> None:
    shapes = [[tuple(f.shape[1:]) for f in side] for side in (fake, real)]
    if not shapes[0] or shapes[0] != shapes[1]:
        raise UsageError(
            "The features of generated and of real images do not correspond",
            expected=f"at least one layer, of shapes (without the batch axis) {shapes[1]}",
            got=str(shapes[0]),
        )
