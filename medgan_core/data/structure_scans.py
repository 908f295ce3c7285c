"""Simulated scans of any contrast and thickness with the structures they show, for segmentation.

Half of the images are of random sequences, the others of random brightness per region, or of both together.
Heads lie askew, are whole or stripped of all but the brain, and may hold lesions. A share of the images may
be made to look scanned by a generator. What is asked for is the class of every pixel
(`structures.STRUCTURES`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.augmentation import scanner_effects
from medgan_core.data.draws import TRAINING, VALIDATION, generators
from medgan_core.data.slab_places import VIEWED, Place, draw_place, take, whole
from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.structures import IN_BRAIN, REGION_CLASS, REGION_TISSUE, REGIONS, region_map
from medgan_core.physics.mixture import Mixture
from medgan_core.physics.scanner import blur, coil
from medgan_core.physics.simulation import Head, add_lesions, signals
from medgan_core.physics.tissues import NAMES

_FLUID = REGIONS.index(24)
_STRIPPED, _TIGHT = 0.4, 0.5
_PIXEL_MM, _TILT = (0.78, 1.22), 0.12
_NOISE, _EFFECTS = 0.05, 1.5
_WHOLE_MM = 4.0
_FOCUSED, _VOXELS = 0.5, 2000
"""Share of slabs that show a structure drawn with equal chance, so that small ones are not rare; and among
how many of its voxels one is chosen."""


Refine = Callable[[Tensor, torch.Generator], Tensor]
"""Images (slices, i, j) to images of the same shape, with noise from the generator."""


class Heads:
    """Heads as region maps, and how one of them is scanned.

    Args:
        maps: RAS label maps at 1 mm, (i, j, k), FreeSurfer-style numbers.
        refine: makes images (slices, i, j) look scanned; None leaves all as they were simulated.
        refined: share of the images that it is used for.

    Attributes:
        voxels: of each head, by class some voxels (n, 3) of it.
    """

    def __init__(
        self, maps: Sequence[NDArray[np.integer[Any]]], *, refine: Refine | None = None, refined: float = 0.0
    ) -> None:
        self._refine, self._refined = refine, refined
        self.maps = [region_map(m) for m in maps]
        self.voxels = [_voxels(REGION_CLASS[m]) for m in self.maps]
        self._counts = [np.bincount(m.ravel(), minlength=len(REGIONS)).astype(np.float32) for m in self.maps]

    def scan(
        self,
        which: int,
        plane: tuple[int, int, int],
        place: Place,
        rng: np.random.Generator,
        generator: torch.Generator,
        *,
        side: int,
    ) -> tuple[Tensor, Tensor]:
        """One image of a head, 1 = the 99.5th percentile of its foreground, and its classes.

        Args:
            which: head.
            plane: axes (slice, i, j) of the map.
            place: in these axes.
            rng: draws contrast and scanner, and whether the head is stripped.
            generator: draws texture, fields and noise.
            side: -1 for the mirrored head, left and right exchanged, else 1.

        Returns:
            (slices, i, j) float32, and (slices, i, j) int64 in the middle of each slice.
        """
        heads = self.maps[which][::side].transpose(plane)
        shown = _shown(rng)
        kept = shown * np.arange(len(REGIONS), dtype=np.uint8)
        regions = torch.from_numpy(kept[take(heads, place.index)])
        fine = self._signal(regions, self._counts[which] * shown, rng, generator)
        fine = fine * coil(heads.shape, place.index, depth=float(rng.uniform(0, 1.1)))
        parts = (-1, place.subslices, *regions.shape[1:])
        image = blur(fine.reshape(parts).mean(1), float(rng.uniform(0.35, 1.0)))
        if self._refine is not None and rng.random() < self._refined:
            image = self._refine(image, generator)
        image = scanner_effects(image, rng, generator, noise=_NOISE, strength=_EFFECTS)
        middle = regions.reshape(parts)[:, place.subslices // 2]
        return image, torch.from_numpy(REGION_CLASS)[middle.long()].long()

    @staticmethod
    def _signal(
        regions: Tensor, counts: NDArray[np.float32], rng: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        """Of every voxel (d, h, w): of a sequence, of a mixture, or of both."""
        tissue = torch.from_numpy(REGION_TISSUE)[regions.long()]
        healthy = tissue.clone()
        tissue = add_lesions(tissue, rng, generator)
        share = float(rng.choice((0.0, 0.0, 1.0, rng.random())))
        signal = torch.zeros(regions.shape)
        if share < 1:
            head, contrast = Head.draw(rng), CONTRASTS[int(rng.integers(len(CONTRASTS)))]
            weight = torch.from_numpy(np.bincount(REGION_TISSUE, counts, len(NAMES)).astype(np.float32))
            one = signals(tissue, head, (contrast,), generator, float(rng.uniform(0.02, 0.10)))[0]
            signal += (1 - share) / max(head.scale(contrast, weight), 1e-3) * one
        if share > 0:
            mixture = Mixture.draw(len(REGIONS) + len(NAMES), rng)
            painted = torch.where(tissue == healthy, regions, len(REGIONS) + tissue)
            scale = mixture.scale(torch.from_numpy(counts))
            signal += share / max(scale, 1e-3) * mixture.paint(painted, generator)
        return signal


def _voxels(classes: NDArray[np.integer[Any]]) -> list[NDArray[np.intp]]:
    """Of every class that is there some voxels (n, 3), spread over it."""
    found = []
    for value in np.unique(classes[classes > 0]):
        places = np.flatnonzero(classes == value)
        chosen = places[np.linspace(0, len(places) - 1, min(_VOXELS, len(places))).astype(np.intp)]
        found.append(np.stack(np.unravel_index(chosen, classes.shape), axis=1))
    return found


def _shown(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which regions the scan holds: all, those of the brain, or these without the fluid around."""
    shown = np.ones(len(REGIONS), dtype=bool)
    if rng.random() < _STRIPPED:
        shown &= IN_BRAIN
        shown[_FLUID] = rng.random() >= _TIGHT
    return shown


class StructureSlabs:
    """Slabs with the classes of their middle slice; sample n depends on the seed and n alone.

    Half of them are anywhere in a head, the others show a structure that was drawn first.

    Args:
        heads: to scan.
        slices: of a slab (odd).
        size: pixels along i and j.
        seed: of the samples.
    """

    def __init__(self, heads: Heads, *, slices: int, size: int, seed: int) -> None:
        self._heads, self._slices, self._size, self._seed = heads, slices, size, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (slices, i, j) and label (i, j), int64."""
        rng, generator = generators(self._seed, number, TRAINING)
        which = int(rng.integers(len(self._heads.maps)))
        plane = VIEWED[int(rng.integers(len(VIEWED)))]
        shape = [self._heads.maps[which].shape[axis] for axis in plane]
        side = int(rng.choice((-1, 1)))
        place = draw_place(
            shape,
            slices=self._slices,
            size=self._size,
            rng=rng,
            generator=generator,
            pixel_mm=_PIXEL_MM,
            tilt=_TILT,
            focus=self._focus(which, plane, side, rng) if rng.random() < _FOCUSED else None,
        )
        image, classes = self._heads.scan(which, plane, place, rng, generator, side=side)
        return {"input": image, "label": classes[self._slices // 2]}

    def _focus(
        self, which: int, plane: tuple[int, int, int], side: int, rng: np.random.Generator
    ) -> list[int]:
        """A voxel of a structure, along the axes of the plane."""
        structures = self._heads.voxels[which]
        voxels = structures[int(rng.integers(len(structures)))]
        voxel = [int(at) for at in voxels[int(rng.integers(len(voxels)))]]
        if side < 0:
            voxel[0] = self._heads.maps[which].shape[0] - 1 - voxel[0]
        return [voxel[axis] for axis in plane]


class WholeHeads:
    """Whole heads in axial slices of 4 mm, to be judged on; as many scans of each map.

    Args:
        heads: to scan.
        scans: of each map, every one of another contrast.
        seed: of the scans.
    """

    def __init__(self, heads: Heads, *, scans: int, seed: int) -> None:
        self._heads, self._scans, self._seed = heads, scans, seed

    def __len__(self) -> int:
        return self._scans * len(self._heads.maps)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, i, j, k) and label (1, i, j, k), int64."""
        rng, generator = generators(self._seed, number, VALIDATION)
        which = number % len(self._heads.maps)
        plane = VIEWED[0]
        shape = [self._heads.maps[which].shape[axis] for axis in plane]
        side = int(rng.choice((-1, 1)))
        image, classes = self._heads.scan(which, plane, whole(shape, _WHOLE_MM), rng, generator, side=side)
        return {key: x.movedim(0, -1)[None] for key, x in (("image", image), ("label", classes))}
