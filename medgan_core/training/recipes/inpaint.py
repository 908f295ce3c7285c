"""Repair of a masked region with a GAN (Pathak et al., "Context encoders", CVPR 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.card import Architecture, Figure, ModelCard, Port, Training, Weights
from medgan_core.data.degradation import MaskedSamples
from medgan_core.data.masks import LesionShapes
from medgan_core.data.samples import Samples
from medgan_core.data.stacks import Stack
from medgan_core.data.witness import witnessed
from medgan_core.networks import build
from medgan_core.networks.inpainting import InpaintingGenerator
from medgan_core.preprocess import Preprocess
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch, Findings, Logs
from medgan_core.training.recipes import judging, measured
from medgan_core.training.recipes.brain_data import PATIENTS, adult_brain
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

    @property
    def architecture(self) -> Architecture:
        """The network of the card."""
        options = {"widths": list(self.widths), "convolutions": self.convolutions}
        return Architecture(name="hole-filler", options=options)

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
            seed=self.sample_seed(validation=validation),
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
        found = judging.findings({"": made, "harmonic": smooth}, truth, hole > 0, shown=shown)
        return replace(found, numbers=found.numbers | measured.studies(batch))

    def model(self, networks: Mapping[str, nn.Module]) -> nn.Module | None:
        """The generator as it is applied to volumes; in 3D none is served."""
        if self.spatial_dims == 3:
            return None
        served = build(**asdict(self.architecture))
        served.get_submodule(GENERATOR).load_state_dict(networks[GENERATOR].state_dict())
        return served

    def card(self, training: Training) -> ModelCard | None:
        """What the model says about itself; None in 3D."""
        if self.spatial_dims == 3:
            return None
        names, pixel = " and ".join(contrasts_of(self.contrasts)), self.pixel_mm
        return ModelCard(
            name=self.name,
            version="0.1.0",
            title="MR inpainting",
            description=f"Fills a marked region of a brain MR ({names}) from what surrounds it in each "
            "slice, for example an artefact, or a lesion that disturbs other software. Outside of the mask "
            "no voxel changes.",
            task="restore",
            inputs=(
                Port(key="image", title="MR image", required=True),
                Port(key="mask", title="Region to fill", kind="labels", required=True),
            ),
            outputs=(Port(key="image", title="Filled image", unit="as the input"),),
            architecture=self.architecture,
            preprocess=Preprocess(in_plane_mm=(0.9 * pixel, 1.1 * pixel)),
            domain=adult_brain(anatomy="head or brain of an adult"),
            data=PATIENTS,
            training=training,
            licence="Apache-2.0",
            figures=(),
            limits=(
                "Not for diagnosis. What fills the region is invented; it is not what was there, nor what "
                "would be there without the lesion.",
                "Slices are filled one by one: large regions may not fit from slice to slice, and a slice "
                "that lies wholly in the mask is filled with nothing to go by.",
                f"Trained on {names} of few patients (multiple sclerosis, treated glioblastoma), with pixels "
                f"of {pixel:g} mm.",
            ),
            weights=Weights(file="", sha256=""),
        )

    def figures(self, numbers: Mapping[str, float], command: str) -> tuple[Figure, ...]:
        """PSNR and SSIM within the hole beside those of the harmonic surface."""
        units = {"psnr": "dB within the hole", "ssim": "within the hole"}
        words = "harmonic surface"
        return measured.figures(numbers, command, units=units, baseline="harmonic", words=words)

    def _lesions(self, data: Path, contrasts: Sequence[str]) -> LesionShapes:
        """Lesions of patients who are trained on, also where the folds of those with lesions differ."""
        trained = {s.patient for s in self.stacks(data, contrasts, validation=False)}
        with witnessed():  # who is not trained on is read, and left out here
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
