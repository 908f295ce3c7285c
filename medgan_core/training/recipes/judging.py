"""How an image that was made from another is judged against its truth while a recipe trains.

These are figures to choose weights by, image after image, in plain torch. What goes into a table comes from
`medgan evaluate` and the benchmarks, patient by patient, with masks made from whole volumes.

Images are (n, c, *spatial) in [0, 1]; masks are (n, 1, *spatial), boolean.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from medgan_core.losses.structure import ssim_loss
from medgan_core.training.recipe import Findings
from medgan_core.training.recipes.generation import rows

FOREGROUND = 0.1
"""Brighter than this share of the 99.5th percentile counts as foreground."""

_SMALLEST = 1e-10
_DEGREE = 3


def foreground(*images: Tensor) -> Tensor:
    """Voxels that any channel of the images shows."""
    return (torch.cat(images, dim=1) > FOREGROUND).any(dim=1, keepdim=True)


def psnr(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """``10 log10(1 / mse)`` inside the mask, (n,), in dB; at most 100, which identical images have."""
    return -10 * torch.log10(_mean((prediction - truth) ** 2, mask).clamp(min=_SMALLEST))


def ssim(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean of `losses.structure.ssim_loss`'s SSIM inside the mask, (n,).

    Of volumes the windows lie in the planes of the first two axes, slice by slice.
    """
    flat = [_slices(images) for images in (prediction, truth)]
    similarity = 1 - ssim_loss(flat[0], flat[1])
    if truth.ndim == 5:
        n, depth = len(truth), truth.shape[-1]
        similarity = similarity.reshape(n, depth, *similarity.shape[1:]).movedim(1, -1)
    return _mean(similarity, mask)


def fitted(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The prediction times the gain ``sum(p t) / sum(p p)`` inside the mask of each image.

    MR has no absolute scale, so a translated image is compared after this one factor.
    """
    top, power = _mean(prediction * truth, mask), _mean(prediction**2, mask)
    gain = torch.where(power > 0, top / power.clamp(min=_SMALLEST), torch.ones_like(power))
    return prediction * gain.reshape(-1, *(1,) * (prediction.ndim - 1))


def best_curve(source: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The cubic polynomials of the source's channels that come nearest to the truth inside the mask.

    They are fitted to the truth of each image itself. So no translation that only maps intensities, such as
    a regression learned elsewhere, can do much better, and one that does has seen more than intensities.
    """
    out = torch.empty_like(truth)
    for number, inside in enumerate(mask[:, 0]):
        powers = [torch.ones_like(truth[number, :1])]
        powers += [source[number] ** p for p in range(1, _DEGREE + 1)]
        design = torch.cat(powers).movedim(0, -1).double()
        weights = torch.linalg.lstsq(design[inside], truth[number, 0][inside].double()[:, None]).solution
        out[number, 0] = (design @ weights)[..., 0].to(out)
    return out


def findings(
    predictions: Mapping[str, Tensor], truth: Tensor, mask: Tensor, *, shown: Mapping[str, Tensor]
) -> Findings:
    """Figures of every prediction and a picture.

    Args:
        predictions: by what is added to the figures' names: "" for the recipe's own.
        truth: what they should be.
        mask: where to compare.
        shown: rows of the picture above the truth, at least eight images each.

    Returns:
        ``psnr`` and ``ssim`` for "", ``psnr_linear`` and ``ssim_linear`` for "linear", and so on: means over
        the images. The picture has the rows of `shown`, then the truth.
    """
    numbers: dict[str, float] = {}
    for name, prediction in predictions.items():
        ending = f"_{name}" if name else ""
        numbers[f"psnr{ending}"] = float(psnr(prediction, truth, mask).mean())
        numbers[f"ssim{ending}"] = float(ssim(prediction, truth, mask).mean())
    return Findings(numbers, torch.cat([rows(images.cpu(), 1) for images in (*shown.values(), truth)]))


def _slices(images: Tensor) -> Tensor:
    """Volumes (n, c, i, j, k) as (n k, c, i, j); slices as they are."""
    return images.movedim(-1, 1).flatten(0, 1) if images.ndim == 5 else images


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean inside the mask of each image, (n,), 0 where the mask is empty."""
    weight = mask.to(values).expand_as(values).flatten(1)
    return (values.flatten(1) * weight).sum(1) / weight.sum(1).clamp(min=1)
