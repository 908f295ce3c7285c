"""Slabs for training: a few neighbouring slices of several contrasts, simulated or from real patients.

All arrays run (contrast, slice, i, j) as `preprocess.forward` orients volumes: slices along their own axis,
i and j along +R, +A or +S. Intensities are divided by the 99.5th percentile of the foreground.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from medgan_core.data.slab_places import PLANES, Place, draw_place, take, whole
from medgan_core.physics.mr_signal import Contrast
from medgan_core.physics.scanner import blur, coil
from medgan_core.physics.simulation import Head, add_lesions, signals, tissue_map
from medgan_core.physics.tissues import EXTRA_CEREBRAL, INDEX, NAMES

CONTRASTS: tuple[Contrast, ...] = ("T1", "T1post", "T2", "FLAIR", "PD")
_MOVED_SHARE, _MARGIN = 0.4, 1.25
_TRIES, _SHOWN, _FAINT = 4, 0.15, 0.1
Planes = Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Slab:
    """Aligned contrasts of one place in one head.

    Args:
        images: (contrasts in the order of `CONTRASTS`, slices, i, j), zeros where not available.
        available: per contrast.
        lesion: share of each voxel (slices, i, j) that is MS lesion; None where nobody knows.
    """

    images: Tensor
    available: tuple[bool, ...]
    lesion: Tensor | None = None


class SlabSource(Protocol):
    """Where slabs come from."""

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        """One random slab, a function of the two generators alone."""
        ...


class SimulatedSlabs:
    """Slabs simulated from label maps.

    Args:
        maps: RAS label maps at 1 mm, (i, j, k), FreeSurfer-style numbers.
        slices: of a slab (odd).
        size: pixels along i and j.
        stripped: share of slabs without anything outside of the brain.
        paint: paints lesions into the tissue numbers (d, i, j) of a slab.
        planes: to choose from, (slice, i, j) axes of the maps.
    """

    def __init__(
        self,
        maps: Sequence[NDArray[np.integer[Any]]],
        *,
        slices: int,
        size: int,
        stripped: float = 0.35,
        paint: Callable[[Tensor, np.random.Generator, torch.Generator], Tensor] = add_lesions,
        planes: Planes = PLANES,
    ) -> None:
        self._maps = [tissue_map(m) for m in maps]
        self._brains = [(m > 0) & (m < EXTRA_CEREBRAL) for m in maps]
        self._counts = [tissue_counts(m) for m in self._maps]
        self._brain_counts = [tissue_counts(m[b]) for m, b in zip(self._maps, self._brains, strict=True)]
        self._slices, self._size, self._stripped = slices, size, stripped
        self._paint, self._planes = paint, planes

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        """One simulated slab with all contrasts."""
        which = int(rng.integers(len(self._maps)))
        stripped = bool(rng.random() < self._stripped)
        plane = self._planes[int(rng.integers(len(self._planes)))]
        shape = [self._maps[which].shape[axis] for axis in plane]
        place = draw_place(shape, slices=self._slices, size=self._size, rng=rng, generator=generator)
        return self._scan(which, plane, place, rng, generator, stripped=stripped)

    def head(
        self, number: int, slice_mm: float, rng: np.random.Generator, generator: torch.Generator
    ) -> Slab:
        """All of a head in axial slices, neither moved nor deformed.

        Args:
            number: of a map; they are gone through again and again.
            slice_mm: thickness.
            rng: draws patient and scanner, and whether the head is stripped.
            generator: draws texture and lesions.
        """
        which, plane = number % len(self._maps), PLANES[0]
        place = whole([self._maps[which].shape[axis] for axis in plane], slice_mm)
        return self._scan(which, plane, place, rng, generator, stripped=bool(rng.random() < self._stripped))

    def _scan(
        self,
        which: int,
        plane: tuple[int, int, int],
        place: Place,
        rng: np.random.Generator,
        generator: torch.Generator,
        *,
        stripped: bool,
    ) -> Slab:
        tissue = self._maps[which].transpose(plane)
        labels = take(tissue, place.index)
        if stripped:
            labels = labels * take(self._brains[which].transpose(plane), place.index)
        tensor = self._paint(torch.from_numpy(labels), rng, generator)
        counts = (self._brain_counts if stripped else self._counts)[which]
        images = scanned(tensor, tissue.shape, place, counts, rng, generator)
        lesion = (
            (tensor == INDEX["ms lesion"]).float().reshape(-1, place.subslices, *tensor.shape[1:]).mean(1)
        )
        return Slab(images, (True,) * len(CONTRASTS), lesion)


def scanned(
    tissue: Tensor,
    shape: Sequence[int],
    place: Place,
    counts: Tensor,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    """All contrasts of one random patient in one random scanner, without noise.

    Args:
        tissue: numbers of `tissues.NAMES` at the place, (sub-slices, i, j).
        shape: of the whole map, along the axes of the place.
        place: where the slab lies in it.
        counts: voxels of each tissue in the whole map.
        rng: draws patient and scanner.
        generator: draws texture.

    Returns:
        (contrasts in the order of `CONTRASTS`, slices, i, j), 1 = the 99.5th percentile of the whole map's.
    """
    head = Head.draw(rng)
    fine = signals(tissue, head, CONTRASTS, generator, float(rng.uniform(0.02, 0.10)))
    fine *= coil(shape, place.index, depth=float(rng.uniform(0, 1.1)))
    thick = fine.reshape(len(CONTRASTS), -1, place.subslices, *tissue.shape[1:]).mean(2)
    blurred = torch.stack([blur(image, float(rng.uniform(0.35, 0.85))) for image in thick])
    scales = torch.tensor([head.scale(c, counts) for c in CONTRASTS])
    return blurred / scales[:, None, None, None].clamp(min=1e-3)


class RealSlabs:
    """Slabs cut from preprocessed studies.

    Args:
        studies: arrays (contrasts in the order of `CONTRASTS`, i, j, k), zeros where not available; one more
            channel is the share of lesion.
        available: per study and contrast.
        isotropic: per study; then slices are also cut along other axes and averaged to thicker ones.
        slices: of a slab (odd).
        size: pixels along i and j; smaller studies are padded with zeros.
        sources: per study, the name of its data set. A set is drawn with a probability that grows with the
            square root of its studies, so that small sets are seen too. None: all studies alike.
        planes: to choose from, (slice, i, j) axes of isotropic studies.
    """

    def __init__(
        self,
        studies: Sequence[NDArray[np.floating[Any]]],
        available: Sequence[tuple[bool, ...]],
        isotropic: Sequence[bool],
        *,
        slices: int,
        size: int,
        sources: Sequence[str] | None = None,
        planes: Planes = PLANES,
    ) -> None:
        self._studies, self._available, self._isotropic = list(studies), list(available), list(isotropic)
        self._slices, self._size, self._planes = slices, size, planes
        names = list(sources) if sources is not None else [""] * len(self._studies)
        weights = np.array([names.count(name) ** -0.5 for name in names])
        self._probability = weights / weights.sum()

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        """One slab of a random study, nearly always one that shows something."""
        for _ in range(_TRIES):
            slab = self._slab(rng)
            if float((slab.images.amax(0) > _FAINT).float().mean()) > _SHOWN:
                break
        return slab

    def _slab(self, rng: np.random.Generator) -> Slab:
        which = int(rng.choice(len(self._studies), p=self._probability))
        study = self._studies[which]
        step = 1
        if self._isotropic[which]:
            plane = self._planes[int(rng.integers(len(self._planes)))]
            study = study.transpose(0, 1 + plane[1], 1 + plane[2], 1 + plane[0])
            step = int(rng.choice((1, 1, 1, 2, 3, 5)))
        middle = int(rng.integers(study.shape[3]))
        starts = middle + (np.arange(self._slices) - self._slices // 2) * step
        depth = np.clip(starts[:, None] + np.arange(step)[None], 0, study.shape[3] - 1)
        moved = rng.random() < _MOVED_SHARE
        window = round(self._size * _MARGIN) if moved else self._size
        piece = _window(study[:, :, :, depth.ravel()], window, rng).astype(np.float32)
        piece = piece.reshape(*piece.shape[:3], self._slices, step).mean(-1)
        images = torch.from_numpy(np.ascontiguousarray(piece.transpose(0, 3, 1, 2)))
        if moved:
            images = moved_by(draw_turn(window, self._size, rng), images)
        if rng.random() < 0.5:
            images = images.flip(2)
        available = self._available[which]
        lesion = images[-1] if len(images) > len(available) else None
        return Slab(images[: len(available)], available, lesion)


class MixedSlabs:
    """Draws from the second source with the given probability, else from the first."""

    def __init__(self, first: SlabSource, second: SlabSource, share_of_second: float) -> None:
        self._first, self._second, self._share = first, second, share_of_second

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> Slab:
        """One slab of either source."""
        return (self._second if rng.random() < self._share else self._first).draw(rng, generator)


def tissue_counts(tissue: NDArray[np.uint8]) -> Tensor:
    """Voxels of each of `tissues.NAMES`, (tissues,) float32."""
    return torch.from_numpy(np.bincount(tissue.ravel(), minlength=len(NAMES)).astype(np.float32))


def draw_turn(side: int, size: int, rng: np.random.Generator) -> Tensor:
    """A grid (1, size, size, 2) that turns by about 6 degrees and stretches by about 8 % along each axis.

    Args:
        side: pixels of the pictures that it is used on.
        size: of those that come of it, which keep their scale.
        rng: draws angle and stretch.
    """
    angle, stretch = float(rng.normal(0, 0.1)), np.exp(rng.normal(0, 0.08, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([turn * stretch * size / side, np.zeros((2, 1))], axis=1)
    theta = torch.from_numpy(matrix.astype(np.float32))[None]
    return functional.affine_grid(theta, [1, 1, size, size], align_corners=False)


def moved_by(grid: Tensor, pictures: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Pictures (c, slices, h, w) at the places of a grid (1, i, j, 2): (c, slices, i, j), 0 outside."""
    flat = pictures.flatten(0, 1)[None]
    moved = functional.grid_sample(flat, grid, mode=mode, align_corners=False)
    return moved[0].reshape(*pictures.shape[:2], *grid.shape[1:3])


def _window(
    study: NDArray[np.floating[Any]], size: int, rng: np.random.Generator
) -> NDArray[np.floating[Any]]:
    """A random in-plane window of (c, i, j, k), padded with zeros when the study is smaller."""
    for axis in (1, 2):
        count = study.shape[axis]
        if count < size:
            pad = [(0, 0)] * 4
            before = int(rng.integers(size - count + 1))
            pad[axis] = (before, size - count - before)
            study = np.pad(study, pad)
        else:
            start = int(rng.integers(count - size + 1))
            study = study.take(range(start, start + size), axis=axis)
    return study
