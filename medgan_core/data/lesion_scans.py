"""Scans in which lesions of multiple sclerosis are marked, simulated or of patients, for segmentation.

The first of the contrasts is always shown; any of the others may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.augmentation import scanner_effects
from medgan_core.data.cases import Case
from medgan_core.data.draws import TRAINING, VALIDATION, generators
from medgan_core.data.slab_places import VIEWED
from medgan_core.data.slabs import CONTRASTS, RealSlabs, SimulatedSlabs, Slab, SlabSource
from medgan_core.physics.ms_lesions import add_ms_lesions
from medgan_core.preprocess import Preprocess, forward, place_mask

SHOWN = ("FLAIR", "T1", "T2")
"""In the order of a network's input."""

LESION = "lesion"
_NUMBERS = [CONTRASTS.index(key) for key in SHOWN]
_HIDDEN = 0.45
_INSIDE = 0.5
_TRIES = 3
_WHOLE_MM = 3.0


def simulated(maps: Sequence[NDArray[np.integer[Any]]], *, slices: int, size: int) -> SimulatedSlabs:
    """Slabs of heads with lesions in their white matter."""
    return SimulatedSlabs(maps, slices=slices, size=size, paint=add_ms_lesions, planes=VIEWED)


def of_patients(cases: Sequence[Case], settings: Preprocess, *, slices: int, size: int) -> RealSlabs:
    """Slabs of patients whose lesions are marked.

    Args:
        cases: with some of the contrasts and the label map `LESION`.
        settings: of the model.
        slices: of a slab (odd).
        size: pixels along i and j.
    """
    arrays, available, isotropic = [], [], []
    for case in cases:
        volumes = [case.images[c].volume() if c in case.images else None for c in CONTRASTS]
        images, placement = forward(settings, volumes)
        lesion = place_mask(case.label(LESION, like=SHOWN[0]) > 0, placement)
        arrays.append(np.concatenate([images, lesion[None]]).astype(np.float16))
        available.append(tuple(v is not None for v in volumes))
        isotropic.append(case.isotropic)
    return RealSlabs(arrays, available, isotropic, slices=slices, size=size, planes=VIEWED)


class LesionSlabs:
    """Slabs with the lesions of their middle slice; sample n depends on the seed and n alone.

    Args:
        source: whose slabs know their lesions.
        seed: of the samples.
        effects: strength of what scanners do to the images, see `augmentation.scanner_effects`.
    """

    def __init__(self, source: SlabSource, *, seed: int, effects: float) -> None:
        self._source, self._seed, self._effects = source, seed, effects

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (contrasts * slices + contrasts, i, j) and label (i, j), int64.

        The last planes of the input say which contrasts are there.
        """
        rng, generator = generators(self._seed, number, TRAINING)
        slab = self._draw(rng, generator)
        assert slab.lesion is not None
        there = [slab.available[c] and (n == 0 or rng.random() >= _HIDDEN) for n, c in enumerate(_NUMBERS)]
        images = slab.images[_NUMBERS].clone()
        for n, shown in enumerate(there):
            if shown:
                images[n] = scanner_effects(images[n], rng, generator, strength=self._effects)
            else:
                images[n] = 0
        flags = torch.tensor(there).float()[:, None, None].expand(-1, *images.shape[2:])
        label = (slab.lesion[len(slab.lesion) // 2] >= _INSIDE).long()
        return {"input": torch.cat([images.flatten(0, 1), flags]), "label": label}

    def _draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        """One that shows a lesion, if there is one among a few."""
        for _ in range(_TRIES):
            slab = self._source.draw(rng, generator)
            if slab.lesion is not None and bool((slab.lesion >= _INSIDE).any()):
                break
        return slab


class LesionHeads:
    """Whole simulated heads in axial slices of 3 mm, to be judged on: every second has one contrast alone.

    Args:
        source: of the label maps left out.
        count: of heads.
        seed: of the heads.
    """

    def __init__(self, source: SimulatedSlabs, *, count: int, seed: int) -> None:
        self._source, self._count, self._seed = source, count, seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (contrasts, i, j, k), label (1, i, j, k) int64, and which images are present (contrasts,)."""
        rng, generator = generators(self._seed, number, VALIDATION)
        slab = self._source.head(number, _WHOLE_MM, rng, generator)
        assert slab.lesion is not None
        there = torch.tensor([n == 0 or number % 2 == 1 for n in range(len(SHOWN))])
        images = torch.stack([scanner_effects(image, rng, generator) for image in slab.images[_NUMBERS]])
        return {
            "image": (images * there[:, None, None, None]).movedim(1, -1),
            "label": (slab.lesion >= _INSIDE).long().movedim(0, -1)[None],
            "present": there,
        }
