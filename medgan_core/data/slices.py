"""2D slices and slabs of multi-contrast brains: contrasts of one place, or of different patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medgan_core.data.draws import TRAINING, VALIDATION, fixed_order, generators, grouped, pick
from medgan_core.data.stacks import Stack
from medgan_core.data.windows import Augmentation, window
from medgan_core.errors import UsageError

Place = tuple[int, int]
"""Number of a stack and of the slice within it."""


class SliceCutter:
    """Cuts slices of one size out of stacks; what `PairedSlices` and `UnpairedSlices` share.

    Args:
        stacks: whose slices may serve.
        size: pixels along (h, w); smaller slices are filled up with 0.
        depth: 1 for slices (c, h, w), more for slabs (c, depth, h, w); at the ends of a stack its last
            slice is repeated.
        filled: a slice serves when the foreground of each contrast is at least this share of its largest
            slice's. (Registered contrasts may be empty at the ends.)
    """

    def __init__(
        self, stacks: Sequence[Stack], *, size: tuple[int, int], depth: int = 1, filled: float = 0.3
    ) -> None:
        self._stacks, self._size, self._depth = list(stacks), size, depth
        self._centres = [s.centre() for s in stacks]
        self.patients = [s.patient for s in stacks]
        self._slices = [s.filled_slices(filled) for s in stacks]
        self.places: list[Place] = [(n, k) for n, found in enumerate(self._slices) for k in found]

    def draw(self, rng: np.random.Generator, *, without: str = "") -> Place:
        """A random place: patient, then stack, then slice, leaving one patient out."""
        groups = grouped(self.patients)
        groups.pop(without, None)
        number = pick(rng, groups)
        slices = self._slices[number]
        return number, slices[int(rng.integers(len(slices)))]

    def cut(self, place: Place, rng: np.random.Generator, augmentation: Augmentation | None) -> Tensor:
        """The slice or slab at a place, float32; the same window for all contrasts."""
        number, middle = place
        found = self._stacks[number]
        if augmentation is not None and not found.mirrored:
            augmentation = dataclasses.replace(augmentation, flip=0.0)
        count = found.images.shape[1]
        index = (torch.arange(self._depth) + middle - self._depth // 2).clamp(0, count - 1)
        planes = found.images[:, index]
        where = window(self._centres[number], self._size, augmentation, rng)
        out = where.cut(planes.flatten(0, 1)).reshape(*planes.shape[:2], *self._size)
        if augmentation is not None:
            out = augmentation.intensity(out, rng)
        return out[:, 0] if self._depth == 1 else out


class PairedSlices:
    """The same slice of several contrasts (or of one).

    Training samples are drawn at random (patients with equal chance) and augmented; validation samples go
    through all slices in a fixed order and are not augmented.

    Args:
        stacks: with the contrasts wanted, see `stacks.load_stacks`.
        size: pixels along (h, w).
        depth: 1 for slices, more for slabs.
        filled: see `SliceCutter`.
        augmentation: of training samples, None for none.
        seed: of the samples.
        validation: go through the slices instead of drawing.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        *,
        size: tuple[int, int] = (128, 128),
        depth: int = 1,
        filled: float = 0.3,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        validation: bool = False,
    ) -> None:
        self._cutter = SliceCutter(stacks, size=size, depth=depth, filled=filled)
        self.patients = self._cutter.patients
        self._augmentation = None if validation else augmentation
        self._seed, self._validation = seed, validation
        self._order = fixed_order(len(self._cutter.places), seed)

    def __len__(self) -> int:
        """Slices there are: after so many, validation samples repeat."""
        return len(self._order)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (contrasts, [depth,] h, w) float32, case (index into `patients`) int64."""
        rng, _ = generators(self._seed, number, VALIDATION if self._validation else TRAINING)
        if self._validation:
            place = self._cutter.places[self._order[number % len(self._order)]]
        else:
            place = self._cutter.draw(rng)
        return {"image": self._cutter.cut(place, rng, self._augmentation), "case": torch.tensor(place[0])}


class UnpairedSlices:
    """Slices of contrasts A and B, always of different patients.

    Args:
        first: stacks of A.
        second: stacks of B; may be of the same patients.
        size: pixels along (h, w).
        depth: 1 for slices, more for slabs.
        filled: see `SliceCutter`.
        augmentation: drawn for each of the two on its own; None for none.
        seed: of the samples.
        validation: another stream of samples, not augmented.

    Raises:
        UsageError: when a patient of A leaves no other patient of B to draw from.
    """

    def __init__(
        self,
        first: Sequence[Stack],
        second: Sequence[Stack],
        *,
        size: tuple[int, int] = (128, 128),
        depth: int = 1,
        filled: float = 0.3,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        validation: bool = False,
    ) -> None:
        self._first = SliceCutter(first, size=size, depth=depth, filled=filled)
        self._second = SliceCutter(second, size=size, depth=depth, filled=filled)
        if any(not set(self._second.patients) - {patient} for patient in self._first.patients):
            raise UsageError(
                "Unpaired slices need at least two patients",
                expected="for every patient of the first contrast another one of the second",
                got=f"first: {len(set(self._first.patients))}, second: {len(set(self._second.patients))}",
                action="add patients, or choose another split",
            )
        self._augmentation = None if validation else augmentation
        self._seed, self._stream = seed, VALIDATION if validation else TRAINING

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """``a`` and ``b``: (contrasts, [depth,] h, w) float32."""
        rng, _ = generators(self._seed, number, self._stream)
        place = self._first.draw(rng)
        other = self._second.draw(rng, without=self._first.patients[place[0]])
        return {
            "a": self._first.cut(place, rng, self._augmentation),
            "b": self._second.cut(other, rng, self._augmentation),
        }
