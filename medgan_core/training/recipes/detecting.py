"""How well a score tells patches with a lesion from those without, while a recipe trains."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from medgan_core.data.samples import Samples
from medgan_core.metrics.detection import area_under_roc, average_precision
from medgan_core.training.loading import collate
from medgan_core.training.recipe import Batch

JUDGED = 128
_PART = 32
_BRIGHTEST = 0.01


def judged_patches(samples: Samples) -> Batch:
    """The first patches of the patients left out, half of them with a lesion."""
    return collate([samples[n] for n in range(JUDGED)])


def in_parts(function: Callable[[Tensor], Tensor], images: Tensor, device: torch.device) -> Tensor:
    """A function of images (n, ...), computed on a device a part at a time; fp32 on the CPU."""
    return torch.cat([function(part.to(device)).float().cpu() for part in torch.split(images, _PART)])


def detection(scores: Tensor, batch: Batch) -> dict[str, float]:
    """AUROC and average precision of scores (n,), and the AUROC of how bright the brightest 1 % are.

    Patches of a patient are not independent; intervals over patients are made by the benchmarks. Scores
    that are not finite give an AUROC that is not, for the watch to see.
    """
    if not bool(scores.isfinite().all()):
        return {"auroc": math.nan}
    positive = batch["lesion"].bool().numpy()
    flat = batch["image"].flatten(1)
    bright = flat.topk(max(1, round(_BRIGHTEST * flat.shape[1])), dim=1).values.mean(1)
    return {
        "auroc": area_under_roc(scores.numpy(), positive),
        "average_precision": average_precision(scores.numpy(), positive),
        "auroc_intensity": area_under_roc(bright.numpy(), positive),
    }
