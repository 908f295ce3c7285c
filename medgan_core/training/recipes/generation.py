"""What recipes that make images from nothing share: the range of intensities, and how samples are watched."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medgan_core.data.samples import Samples
from medgan_core.metrics.diversity import mean_pairwise_similarity
from medgan_core.metrics.sliced import sliced_wasserstein
from medgan_core.training.loading import collate
from medgan_core.training.recipe import Findings

JUDGED = 64
_PAIRS = 60
_PART = 16
ROW = 8


def to_signed(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], brighter voxels clipped: the range of a generator that ends in tanh."""
    return images.clamp(0, 1) * 2 - 1


def from_signed(images: Tensor) -> Tensor:
    """[-1, 1] back to [0, 1]."""
    return ((images + 1) / 2).clamp(0, 1)


def judge_samples(draw: Callable[[int], Tensor], samples: Samples, *, key: str = "image") -> Findings:
    """How generated images stand beside real ones that were left out of training.

    - ``swd``: sliced Wasserstein distance of the two sets;
    - ``diversity`` and ``diversity_real``: mean pairwise MS-SSIM of each, for the watch on collapse (where
      SciPy is installed).

    Args:
        draw: a count to images (n, c, *spatial) in [0, 1].
        samples: real ones, in [0, 1].
        key: of the image in a sample.

    Returns:
        The numbers, and a picture: three rows of samples, one of real images (middle slices of volumes).
    """
    real = collate([samples[n] for n in range(JUDGED)])[key].clamp(0, 1)
    fake = torch.cat([draw(_PART).cpu() for _ in range(JUDGED // _PART)])
    a, b = fake.float().numpy(), real.float().numpy()
    if not np.isfinite(a).all():
        return Findings({"swd": float("nan")})
    numbers = {"swd": sliced_wasserstein(a, b, seed=0)}
    if importlib.util.find_spec("scipy") is not None:
        numbers["diversity"] = mean_pairwise_similarity(a, seed=0, pairs=_PAIRS).mean
        numbers["diversity_real"] = mean_pairwise_similarity(b, seed=0, pairs=_PAIRS).mean
    return Findings(numbers, torch.cat([rows(fake, 3), rows(real, 1)]))


def rows(images: Tensor, count: int) -> Tensor:
    """The first images as a picture, (count, 8, h, w): middle slices of volumes, anterior up."""
    flat = images[: count * ROW, 0]
    if flat.ndim == 4:
        flat = flat[..., flat.shape[-1] // 2]
    upright = flat.transpose(1, 2).flip(1)
    return upright.reshape(count, ROW, *upright.shape[1:])
