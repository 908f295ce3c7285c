"""Does a back end compute what the network in float32 torch computes? Asked before it is used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medgan_core.inference.slabs import Signature

LIMITS: dict[str, tuple[float, float]] = {
    # precision: largest and mean deviation allowed, as a share of the answer's largest magnitude.
    # bf16 keeps 8 significant bits (2**-9 per rounding), fp16 11; some twenty layers add up.
    "fp32": (1e-4, 1e-5),
    "bf16": (6e-2, 6e-3),
    "fp16": (1e-2, 1e-3),
    # int8 rounds the input of every inner convolution to 255 steps of its range.
    "int8": (6e-2, 6e-3),
}


@dataclass(frozen=True)
class Agreement:
    """Deviation from float32 torch as a share of the answer's largest magnitude, with its limits."""

    maximum: float
    mean: float
    maximum_limit: float
    mean_limit: float

    @property
    def passed(self) -> bool:
        """Whether both are within their limits (a NaN is not)."""
        return self.maximum <= self.maximum_limit and self.mean <= self.mean_limit


def samples(signature: Signature) -> list[Tensor]:
    """Slabs that look like images, in two sizes and two batch sizes; presence planes on and off.

    Returns:
        Float32 batches (n, channels, h, w) with values of about 0 to 1, the same at every call.
    """
    generator = torch.Generator().manual_seed(0)
    out = []
    for count, rows, columns in ((2, 5, 7), (1, 6, 4)):
        size = (rows * signature.multiple, columns * signature.multiple)
        coarse = torch.rand((count, signature.channels, rows + 2, columns + 2), generator=generator)
        smooth = nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
        batch = (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp_(min=0.0)
        if signature.presence:
            planes = signature.contrasts * signature.slices
            batch[:, planes:] = 1.0
            batch[-1, planes + 1 :] = 0.0
            batch[-1, signature.slices : planes] = 0.0
        out.append(batch)
    return out


def compare(answers: list[Tensor], references: list[Tensor], *, outputs: int, precision: str) -> Agreement:
    """Worst deviation over batches, judged apart for values and log scales.

    Args:
        answers: what the back end gave, (n, channels, h, w) each.
        references: what float32 torch gave.
        outputs: channels that are values; the rest are log scales.
        precision: whose limits hold.
    """
    worst = mean = 0.0
    for answer, reference in zip(answers, references, strict=True):
        if answer.shape != reference.shape or not torch.isfinite(answer).all():
            return Agreement(float("inf"), float("inf"), *LIMITS[precision])
        for part in (slice(0, outputs), slice(outputs, None)):
            wanted = reference[:, part]
            if wanted.numel() == 0:
                continue
            away = (answer[:, part] - wanted).abs()
            scale = max(float(wanted.abs().max()), 1e-12)
            worst = max(worst, float(away.max()) / scale)
            mean = max(mean, float(away.mean()) / scale)
    return Agreement(worst, mean, *LIMITS[precision])
