"""Repair of a masked region with a GAN (Pathak et al., "Context encoders", CVPR 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.data.degradation import MaskedSamples
from medgan_core.data.masks import LesionShapes
from medgan_core.data.stacks import Stack
from medgan_core.networks.inpainting import InpaintingGenerator
from medgan_core.training.loading import Samples
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging
from medgan_core.training.recipes.generation import from_signed, to_signed
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from medgan_core.training.recipes.transforming import (
    DepthLast,
    OneContrast,
    Transforming,
    applied,
    contrasts_of,
)

_LESION = "lesion"
_ROUNDS = 400


@dataclass(frozen=True, kw_only=True)
class Inpaint(Transforming):
    """Blobs, boxes, missing slices and the shapes of real lesions, filled from what surrounds them.

    Reconstruction counts in the hole alone (equation 1, with L1), outside of it the image is kept voxel by
    voxel. The generator has gated or partial convolutions; the spectrally normalised PatchGAN with the hinge
    loss sees the repaired image and the hole (Yu et al., ICCV 2019, section 3.3).

    Args:
        contrasts: with commas between; a patient has all of them, a sample shows one.
        holes: kinds with commas between: ``blob``, ``box``, ``slices``, and ``lesion``, for which there must
            be training patients with a lesion map.
        convolutions: ``gated`` or ``partial``.
    """

    name: ClassVar[str] = "inpaint"
    gpu: ClassVar[Mapping[str, str]] = {
        "updates": "40000",
        "batch": "16",
        "size": "192,192",
        "pixel_mm": "1.0",
        "widths": "48,96,192,256",
        "judge_widths": "64,128,256,256",
    }

    objective: str = "hinge"
    widths: tuple[int, ...] = (16, 32, 64, 96)
    l1: float = 20.0
    contrasts: str = "T1,FLAIR"
    holes: str = "blob,box,slices,lesion"
    convolutions: str = "gated"

    def __post_init__(self) -> None:
        super().__post_init__()
        contrasts_of(self.contrasts)

    def networks(self) -> dict[str, nn.Module]:
        """The inpainting network, and a PatchGAN of its output beside the hole."""
        generator = InpaintingGenerator(
            widths=self.widths, convolutions=self.convolutions, spatial_dims=self.spatial_dims
        )
        return {GENERATOR: generator, DISCRIMINATOR: self.patch_discriminator(2)}

    def samples(self, data: Path, *, validation: bool) -> Samples:
        """``image`` (1, *spatial) and ``hole``, 1 where to repair."""
        names = contrasts_of(self.contrasts)
        kinds = [kind.strip() for kind in self.holes.split(",")]
        stacks = self.stacks(data, names, validation=validation)
        return MaskedSamples(
            OneContrast(DepthLast(self.slices(stacks, validation=validation))),
            kinds=kinds,
            lesions=self._lesions(data, names) if _LESION in kinds else None,
            seed=self.seed + 1_000_003 * validation,
        )

    def loss(self, player: str, networks: Networks, batch: Batch, moment: Moment) -> tuple[Tensor, Logs]:
        """L1 within the hole and the hinge loss; the structure is matched over the whole image."""
        image, hole = to_signed(batch["image"]), batch["hole"]
        made = networks[GENERATOR](image, hole)
        real, fake = (torch.cat([x, to_signed(hole)], dim=1) for x in (image, made))
        if player == DISCRIMINATOR:
            return self.discriminator_loss(networks, real, fake, moment)
        loss, logs = self.generator_loss(networks, real, fake, moment)
        error = ((made - image).abs() * hole).sum() / hole.sum().clamp(min=1)
        parts: dict[str, float | Tensor] = {"l1": error, "adversarial": loss}
        loss = loss + self.l1 * error
        if self.structure:
            parts["structure"] = self.structure_error(made, image)
            loss = loss + self.structure * parts["structure"]
        return loss, {**logs, **parts}

    def validate(self, networks: Networks, samples: Samples, moment: Moment) -> Findings:
        """PSNR and SSIM within the hole beside those of the harmonic surface over it, without any gain."""
        batch, made = applied(
            samples,
            ("image", "hole"),
            moment.device,
            lambda image, hole: networks[GENERATOR](to_signed(image), hole),
        )
        truth, hole, made = batch["image"].clamp(0, 1), batch["hole"], from_signed(made)
        smooth = harmonic(truth, hole)
        shown = {"hole": torch.maximum(truth, hole), "smooth": smooth, "made": made}
        return judging.findings({"": made, "harmonic": smooth}, truth, hole > 0, shown=shown)

    def _lesions(self, data: Path, contrasts: Sequence[str]) -> LesionShapes:
        """Lesions of patients who are trained on, also where the folds of those with lesions differ."""
        trained = {s.patient for s in self.stacks(data, contrasts, validation=False)}
        stacks = self.stacks(data, contrasts, validation=False, label=_LESION)
        return LesionShapes([self._lesion_map(s) for s in stacks if s.patient in trained])

    def _lesion_map(self, stack: Stack) -> Tensor:
        """Lesion voxels in the order of a sample's axes; slices come first where samples are slices."""
        assert stack.share is not None  # loaded with the label
        lesion = stack.share >= 0.5
        return lesion.movedim(0, -1) if self.spatial_dims == 3 else lesion


def harmonic(image: Tensor, hole: Tensor) -> Tensor:
    """The hole filled with the solution of Laplace's equation, or nearly so (400 rounds of averaging).

    Args:
        image: (n, 1, *spatial); what it holds inside the hole is not looked at.
        hole: the same shape, 1 where to fill.
    """
    axes = image.ndim - 2
    pad, pool = (1,) * (2 * axes), functional.avg_pool2d if axes == 2 else functional.avg_pool3d
    known = hole == 0
    mean = (image * known).sum() / known.sum().clamp(min=1)
    filled = torch.where(known, image, mean)
    for _ in range(_ROUNDS):
        means = pool(functional.pad(filled, pad, mode="replicate"), 3, stride=1)
        filled = torch.where(known, image, means)
    return filled
