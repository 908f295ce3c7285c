"""What recipes that make an image from an image share: slices of brains, their range, how they are judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from medgan_core.data.samples import Samples
from medgan_core.data.slices import PairedSlices
from medgan_core.data.stacks import Stack, load_stacks
from medgan_core.data.training_set import open_training_set
from medgan_core.data.windows import Augmentation
from medgan_core.errors import UsageError
from medgan_core.losses.structure_tensor import structure_matching_loss
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.training.loading import collate
from medgan_core.training.recipe import Batch
from medgan_core.training.recipes.stabilised import Stabilised

JUDGED = 24
_PART = 8
_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Transforming(Stabilised):
    """A game on slices (2D) or slabs of neighbouring slices (3D) of brains.

    Args:
        size: pixels along (h, w) of a slice.
        depth: slices of a slab in 3D, whatever their distance.
        pixel_mm: slices are resampled to square pixels of this size.
        fold: cross-validation fold whose patients are left out; -1 leaves out those listed as ``val``.
        widths: of the generator.
        judge_widths: of the PatchGAN, at 1/2, 1/4, ... of the resolution; fewer where the image is small.
        l1: weight of the absolute error; that of the adversarial term is 1.
        structure: weight of `losses.structure_tensor.structure_matching_loss` within the slices.
        sigma: of its structure tensor, in mm.
    """

    paired: ClassVar[bool] = True
    metric: ClassVar[str] = "psnr"
    best: ClassVar[str] = "high"

    batch: int = 4
    clip: float = 500.0
    size: tuple[int, ...] = (128, 128)
    depth: int = 8
    pixel_mm: float = 1.5
    fold: int = -1
    widths: tuple[int, ...] = (24, 48, 96, 128)
    judge_widths: tuple[int, ...] = (32, 64, 128, 128)
    l1: float = 100.0
    structure: float = 0.0
    sigma: float = 1.5

    def __post_init__(self) -> None:
        shape = (*self.size, self.depth) if self.spatial_dims == 3 else self.size
        if self.spatial_dims not in (2, 3) or len(self.size) != 2 or min(shape) < 2 * _FEWEST:
            raise UsageError(
                "The images cannot be of this size",
                expected=f"spatial_dims 2 or 3, two sides, and at least {2 * _FEWEST} voxels a side",
                got=f"spatial_dims {self.spatial_dims}, size {self.size}, depth {self.depth}",
                action="correct size or depth",
            )

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Voxels count as cubes, as the distance of the slices differs from patient to patient."""
        return (self.pixel_mm,) * self.spatial_dims

    def stacks(
        self,
        data: Path,
        contrasts: Sequence[str],
        *,
        validation: bool,
        plane: str = "axial",
        label: str | None = None,
    ) -> list[Stack]:
        """Stacks of the patients to train on, or of those left out."""
        return load_stacks(
            open_training_set(data),
            contrasts,
            validation=validation,
            fold=self.fold,
            label=label,
            plane=plane,
            pixel_mm=self.pixel_mm,
        )

    def slices(self, stacks: Sequence[Stack], *, validation: bool, shift: float = 3.0) -> PairedSlices:
        """Samples ``image`` of all contrasts: (c, h, w), or (c, depth, h, w) in 3D."""
        return PairedSlices(
            stacks,
            size=(self.size[0], self.size[1]),
            depth=self.depth if self.spatial_dims == 3 else 1,
            augmentation=Augmentation(shift=shift),
            seed=self.seed,
            validation=validation,
        )

    def patch_discriminator(self, channels: int) -> PatchDiscriminator:
        """A PatchGAN that halves as long as three voxels are left on the shortest side."""
        shortest = min(self.size + (self.depth,) * (self.spatial_dims == 3))
        halvings = int(math.log2(shortest / _FEWEST))
        widths = self.judge_widths[: halvings + 1]
        return PatchDiscriminator(in_channels=channels, widths=widths, spatial_dims=self.spatial_dims)

    def paired_error(self, made: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Weighted absolute error and structure of images in [-1, 1] that have a target, and the parts."""
        error = (made - truth).abs().mean()
        loss, logs = self.l1 * error, dict[str, float | Tensor](l1=error)
        if self.structure:
            matching = self.structure_error(made, truth)
            loss, logs["structure"] = loss + self.structure * matching, matching
        return loss, logs

    def structure_error(self, made: Tensor, truth: Tensor) -> Tensor:
        """The structure-matching loss of images in [-1, 1], slice by slice in 3D, at the scale of [0, 1]."""
        flat = [x.movedim(-1, 1).flatten(0, 1) if x.ndim == 5 else x for x in (made / 2, truth / 2)]
        return structure_matching_loss(*flat, spacing=(self.pixel_mm,) * 2, sigma=self.sigma)


class DepthLast:
    """Samples with the slices along the last spatial axis, as volumes have them everywhere else.

    Args:
        samples: with images (c, depth, h, w), or (c, h, w), which stay.
        keys: of the images; ``image`` when none is named.
    """

    def __init__(self, samples: Samples, *keys: str) -> None:
        self._samples, self._keys = samples, keys or ("image",)

    def __getitem__(self, number: int) -> Batch:
        """The sample with images (c, h, w, depth)."""
        sample = self._samples[number]
        return sample | {k: sample[k].movedim(1, -1) for k in self._keys if sample[k].ndim == 4}


class OneContrast:
    """Samples that show their contrasts in turn, one at a time.

    Args:
        samples: whose ``image`` has the contrasts as channels.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, number: int) -> Batch:
        """The sample with an image (1, *spatial)."""
        sample = self._samples[number]
        channel = number % len(sample["image"])
        return sample | {"image": sample["image"][channel : channel + 1]}


def contrasts_of(text: str) -> tuple[str, ...]:
    """Contrasts from a setting such as ``T1,FLAIR``.

    Raises:
        UsageError: when it names none, or one twice.
    """
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(
            "The contrasts cannot be read", expected="names with commas between, each once", got=text
        )
    return names


def applied(
    samples: Samples, keys: Sequence[str], device: torch.device, function: Callable[..., Tensor]
) -> tuple[Batch, Tensor]:
    """The first `JUDGED` samples as one batch, and what a function makes of them in smaller ones.

    Args:
        samples: of the patients left out.
        keys: of what the function takes.
        device: where it computes.
        function: tensors (n, ...) in the order of the keys to images.
    """
    batch = collate([samples[n] for n in range(JUDGED)])
    made = [
        function(*(batch[key][first : first + _PART].to(device) for key in keys)).float().cpu()
        for first in range(0, JUDGED, _PART)
    ]
    return batch, torch.cat(made)
