"""Real slices beside simulated ones of the same brain, by tissue maps that a segmentation found in patients.

The map of a patient's brain takes the place of a label map made by hand: what is simulated from it shows the
anatomy of the real slice, so the two differ in how they look alone. The idea of training on label maps that
a network gave is Billot et al., "SynthSeg", Med Image Anal 2023. Nothing outside of the brain is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.slab_places import draw_window, take
from medgan_core.data.slabs import scanned, tissue_counts
from medgan_core.physics.tissues import INDEX

_PERCENTILE = 0.995
_TRIES, _SHOWN = 4, 0.15


@dataclass(frozen=True, eq=False)
class Mapped:
    """A preprocessed study and its tissue.

    Args:
        images: (contrasts in the order of `CONTRASTS`, i, j, k), zeros where not available.
        available: per contrast.
        tissue: (i, j, k) uint8, numbers of `tissues.NAMES`, air outside of the brain.
        isotropic: whether slices may also be cut along other axes, and averaged to thicker ones.
    """

    images: NDArray[np.floating[Any]]
    available: tuple[bool, ...]
    tissue: NDArray[np.uint8]
    isotropic: bool


@dataclass(frozen=True, eq=False)
class MappedSlab:
    """One place in one brain, simulated and scanned.

    Args:
        contrast: number in `CONTRASTS`.
        base: (slices, i, j), simulated.
        real: (i, j), the middle slice, 0 outside of the brain; 1 = the 99.5th percentile of the brain.
        tissue: (i, j) uint8, in the middle of the middle slice.
    """

    contrast: int
    base: Tensor
    real: Tensor
    tissue: Tensor


class MappedSlabs:
    """Draws such places.

    Args:
        studies: to choose from, each with some brain in it.
        slices: of a slab (odd).
        size: pixels along i and j.
    """

    def __init__(self, studies: Sequence[Mapped], *, slices: int, size: int) -> None:
        self._studies, self._slices, self._size = list(studies), slices, size
        self._counts = [tissue_counts(s.tissue) for s in self._studies]
        self._scales = [_scales(s) for s in self._studies]

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> MappedSlab:
        """One, a function of the two generators alone; nearly always it shows something."""
        which = int(rng.integers(len(self._studies)))
        study = self._studies[which]
        contrast = int(rng.choice(np.flatnonzero(study.available)))
        for _ in range(_TRIES):
            plane, place = draw_window(
                study.tissue.shape,
                slices=self._slices,
                size=self._size,
                isotropic=study.isotropic,
                rng=rng,
            )
            tissue = take(study.tissue.transpose(plane), place.index)
            if (tissue > 0).mean() > _SHOWN:
                break
        shape = [study.tissue.shape[axis] for axis in plane]
        base = scanned(torch.from_numpy(tissue), shape, place, self._counts[which], rng, generator)
        middle = slice(self._slices // 2 * place.subslices, (self._slices // 2 + 1) * place.subslices)
        depth, *inside = place.index
        real = take(study.images[contrast].transpose(plane), (depth[middle], inside[0], inside[1]))
        shown = torch.from_numpy(tissue[middle])
        image = torch.from_numpy(real.astype(np.float32)) * (shown > 0)
        return MappedSlab(
            contrast,
            base[contrast],
            image.mean(0) / self._scales[which][contrast],
            shown[place.subslices // 2],
        )


def _scales(study: Mapped) -> list[float]:
    """The 99.5th percentile of the brain in each contrast."""
    brain = study.tissue != INDEX["air"]
    return [
        max(float(np.quantile(image[brain].astype(np.float32), _PERCENTILE)), 1e-3) if there else 1.0
        for image, there in zip(study.images, study.available, strict=True)
    ]
