"""Perfectly aligned contrasts of a head from its label map, by the MR signal equations.

The idea of training on images simulated from label maps with random contrast is Billot et al., "SynthSeg",
Med Image Anal 2023; here contrasts of one head share the same tissue maps, so that one can be learned from
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.physics import tissues
from medgan_core.physics.mr_signal import SEQUENCES, Contrast, Sequence
from medgan_core.physics.noise import smooth_field
from medgan_core.physics.tissues import INDEX, NAMES, TISSUES

_FAT = TISSUES["fat"]
_PERCENTILE = 0.995
_MIXED = torch.tensor([TISSUES[name].mixed for name in NAMES])
_BRAIN = {"grey", "deep grey", "pallidum", "white", "brainstem", "oedema", "choroid"}
_IN_BRAIN = torch.tensor([name in _BRAIN for name in NAMES])


def tissue_map(labels: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Tissue numbers (see `tissues.NAMES`) of a map with FreeSurfer-style labels, any shape."""
    top = max(int(labels.max(initial=0)), max(tissues.TISSUE_OF_LABEL)) + 1
    table = np.full(top, INDEX["grey"], dtype=np.uint8)
    table[tissues.EXTRA_CEREBRAL :] = INDEX["soft"]
    table[0] = INDEX["air"]
    for label, tissue in tissues.TISSUE_OF_LABEL.items():
        table[label] = tissue
    return table[np.clip(labels, 0, top - 1)]


@dataclass(frozen=True)
class Head:
    """One simulated patient: relaxation times per tissue, and the sequence of each contrast.

    Args:
        pd: per tissue number.
        t1: in ms.
        t2: in ms.
        t1_enhanced: T1 in ms after contrast agent.
        sequences: by contrast.
        fat: how much of the soft tissue of face and scalp is fat, -0.5 (little) to 1.5 (nearly all).
    """

    pd: Tensor
    t1: Tensor
    t2: Tensor
    t1_enhanced: Tensor
    sequences: dict[Contrast, Sequence]
    fat: float = 0.3

    @staticmethod
    def draw(rng: np.random.Generator, *, variety: float = 1.0) -> Head:
        """A random patient and protocol.

        Args:
            rng: draws them.
            variety: how far tissue is from its mean, as a multiple of `Tissue.spread`; that is wide, so that
                what is learned from simulated heads covers real ones.
        """
        table = [TISSUES[name] for name in NAMES]
        spread = variety * np.array([t.spread for t in table])
        pd, t1, t2 = (
            np.array([getattr(t, name) for t in table]) * np.exp(spread * rng.standard_normal(len(table)))
            for name in ("pd", "t1", "t2")
        )
        shortened = np.where([t.enhances for t in table], rng.uniform(0.15, 0.6, len(table)), 0.98)
        maps = torch.tensor(np.stack([pd, t1, t2, t1 * shortened]), dtype=torch.float32)
        sequences = {name: draw(rng) for name, draw in SEQUENCES.items()}
        return Head(maps[0], maps[1], maps[2], maps[3], sequences, float(rng.uniform(-0.2, 1.4)))

    def scale(self, contrast: Contrast, counts: Tensor) -> float:
        """The 99.5th percentile of a contrast over a head with so many voxels of each tissue (no air)."""
        t1 = self.t1_enhanced if contrast == "T1post" else self.t1
        weight = counts.clone()
        weight[INDEX["air"]] = 0
        return weighted_percentile(self.sequences[contrast](self.pd, t1, self.t2), weight)


def weighted_percentile(signal: Tensor, weight: Tensor) -> float:
    """The 99.5th percentile of a head of which so many voxels (n,) have each signal (n,)."""
    order = signal.argsort()
    share = weight[order].cumsum(0) / weight.sum().clamp(min=1)
    return float(signal[order][int((share < _PERCENTILE).sum().clamp(max=len(order) - 1))])


@dataclass(frozen=True)
class Texture:
    """How tissue varies from place to place; all (d, h, w), or shapes that broadcast with the labels'.

    Args:
        variation: of the logarithms of T1 and T2, and of PD.
        other: more of the logarithm of T2.
        fat: share of fat, see `fat_share`.
    """

    variation: Tensor
    other: Tensor
    fat: Tensor


def signals(
    labels: Tensor, head: Head, contrasts: tuple[Contrast, ...], generator: torch.Generator, texture: float
) -> Tensor:
    """Signal of each contrast at every voxel of a slab, before any effect of the scanner.

    Args:
        labels: tissue numbers (d, h, w), uint8.
        head: the patient.
        contrasts: which to compute.
        generator: source of randomness of the texture that all contrasts share.
        texture: standard deviation of the logarithm of T1, T2 and PD within a tissue.

    Returns:
        (contrasts, d, h, w), on the scale of proton density.
    """
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    fine = torch.randn(shape, generator=generator)
    coarse = smooth_field(shape, 24, generator=generator, depth_knots=3)
    variation = texture * (0.5 * fine + coarse)
    other = texture * smooth_field(shape, 32, generator=generator, depth_knots=3)
    fat = torch.zeros(shape)
    if _MIXED[labels.long()].any():
        fat = fat_share(labels, smooth_field(shape, 20, generator=generator), head.fat)
    return tissue_signals(labels, head, contrasts, Texture(variation, other, fat))


def tissue_signals(labels: Tensor, head: Head, contrasts: tuple[Contrast, ...], texture: Texture) -> Tensor:
    """Signal of each contrast of textured tissue, a function of each voxel alone.

    Args:
        labels: tissue numbers (d, h, w), uint8.
        head: the patient.
        contrasts: which to compute.
        texture: of the tissue.

    Returns:
        (contrasts, d, h, w), on the scale of proton density.
    """
    index, fat = labels.long(), texture.fat
    pd = head.pd[index] * (1 + 0.3 * texture.variation)
    t2 = head.t2[index] * torch.exp(texture.variation + 0.5 * texture.other)
    pd = pd + fat * (_FAT.pd - pd)
    t2 = t2 + fat * (_FAT.t2 - t2)
    out = torch.empty((len(contrasts), *labels.shape))
    for n, contrast in enumerate(contrasts):
        t1 = (head.t1_enhanced if contrast == "T1post" else head.t1)[index] * torch.exp(texture.variation)
        t1 = t1 + fat * (_FAT.t1 - t1)
        out[n] = head.sequences[contrast](pd, t1, t2)
    return out


def fat_share(labels: Tensor, field: Tensor, offset: float) -> Tensor:
    """Share of fat per voxel: patches within soft tissue, the more of them the larger the offset.

    Args:
        labels: tissue numbers, uint8.
        field: smooth, of about unit variance; the same shape.
        offset: see `Head.fat`.
    """
    return torch.sigmoid(4.0 * (field + offset)) * _MIXED[labels.long()]


def add_lesions(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Paint multiple-sclerosis-like spots or one tumour with oedema into the brain, in place.

    Args:
        labels: tissue numbers (d, h, w).
        rng: draws what is painted.
        generator: draws its shape.

    Returns:
        The same tensor.
    """
    white = (labels == INDEX["white"]).nonzero()
    if len(white) < 200:
        return labels
    wobble = smooth_field((labels.shape[0], labels.shape[1], labels.shape[2]), 24, generator=generator)
    kind = rng.random()
    if kind < 0.4:
        for _ in range(int(rng.integers(1, 12))):
            centre = white[int(rng.integers(len(white)))]
            spot = _ball(labels, centre, rng.uniform(1.5, 6.0), wobble) & (labels == INDEX["white"])
            labels[spot] = INDEX["ms lesion"]
    elif kind < 0.6:
        centre = white[int(rng.integers(len(white)))]
        radius = rng.uniform(8, 28)
        brain = _brain(labels)
        white_only = labels == INDEX["white"]
        labels[_ball(labels, centre, radius * rng.uniform(1.2, 1.9), wobble) & white_only] = INDEX["oedema"]
        labels[_ball(labels, centre, radius, wobble) & brain] = INDEX["tumour"]
        if rng.random() < 0.7:
            labels[_ball(labels, centre, radius * rng.uniform(0.4, 0.85), wobble) & brain] = INDEX["necrosis"]
    return labels


def _ball(labels: Tensor, centre: Tensor, radius: float, wobble: Tensor) -> Tensor:
    axes = [
        torch.arange(n, dtype=torch.float32) - float(c) for n, c in zip(labels.shape, centre, strict=True)
    ]
    distance = (
        axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    ).sqrt()
    return distance < radius * (1 + 0.35 * wobble)


def _brain(labels: Tensor) -> Tensor:
    return _IN_BRAIN[labels.long()]
