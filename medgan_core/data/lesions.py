"""Patches of brains with a lesion, and patches without one.

Most visible brains are diseased. A patch is lesion-free when the label map shows no lesion in it and within
the clearance around it; what the raters or the rule behind the map left out is not seen (the masks of
btp-coreg hold enhancing tumour only, not its oedema). In whole heads a lesion-free patch may show face or
skull base, as there is no brain mask.

Lesions do not lie just anywhere. Where both kinds are drawn they therefore mirror each other: a lesion-free
patch lies where a lesion is on the other side of the head, and a patch with a lesion where the other side is
free. Else its place alone would tell what it is: patches of deep white matter have fewer edges than those of
the cortex. A stack with few such places is drawn from as it is in training, and is not judged when others can
be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medgan_core.data.draws import TRAINING, VALIDATION, generators, grouped, pick
from medgan_core.data.stacks import Stack
from medgan_core.data.windows import Augmentation, window
from medgan_core.errors import UsageError

KINDS = ("without-lesion", "with-lesion")
"""What the images of the two classes are called; a patch's label is an index into it."""

_STRIDE = 2
_ATTEMPTS = 20
_LEFT_RIGHT = 1
"""Axis of (slice, h, w) that the sides of the head lie along."""

_NEAR = (1, 6, 6)
"""Slices and pixels that the mirror image of a lesion may be away."""

_COMPARABLE = 50
"""Places of each kind that a stack needs for its kinds to be compared."""


class LesionPatches:
    """Patches with label and voxel mask; a fixed share of them shows a lesion.

    Sample n shows one when ``floor((n + 1) share) > floor(n share)``, so that every stretch of samples is
    balanced. Patients have equal chance, among those that have a place of the kind.

    Args:
        stacks: loaded with a label, see `stacks.load_stacks`.
        size: pixels along (h, w).
        depth: 1 for patches (c, h, w), more for (c, depth, h, w).
        share: of patches with a lesion; 0 gives lesion-free ones only, of all places.
        least: voxels of lesion that a patch with a lesion has. Patches with fewer are never drawn.
        clearance_mm: around a lesion-free patch there is no lesion this near, in plane and across slices.
        scalp_mm: in whole heads the middle of a lesion-free patch lies deeper than this within its slice.
        filled: share of a lesion-free patch's middle slice that is foreground.
        margin: pixels of the surroundings that are shown on every side, whatever they hold.
        augmentation: of training samples, None for none.
        seed: of the samples.
        validation: another stream of samples, not augmented.

    Raises:
        UsageError: when a kind that is asked for has no place in any stack.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        *,
        size: tuple[int, int] = (32, 32),
        depth: int = 1,
        share: float = 0.5,
        least: int = 10,
        clearance_mm: float = 5.0,
        scalp_mm: float = 15.0,
        filled: float = 0.6,
        margin: int = 0,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        validation: bool = False,
    ) -> None:
        if not 0 <= share <= 1 or any(s.share is None for s in stacks):
            raise UsageError(
                "The patches cannot be drawn",
                expected="a share from 0 to 1, and stacks with a lesion label",
                got=f"share {share}",
                action="load the stacks with their label",
            )
        self._stacks, self._size, self._depth = list(stacks), size, depth
        self._share, self._least, self._margin = share, least, margin
        self.patients = [s.patient for s in stacks]
        self._augmentation = None if validation else augmentation
        self._seed, self._stream = seed, VALIDATION if validation else TRAINING
        lesions = [_lesions(s) for s in stacks]
        free = [_free(s, size, depth, clearance_mm, scalp_mm, filled) for s in stacks]
        if 0 < share < 1:
            lesions, free = _comparable(stacks, lesions, free, others=not validation)
        self._with, self._without = ([_places(mask) for mask in masks] for masks in (lesions, free))
        for asked, places, kind in (
            (share > 0, self._with, "with a lesion"),
            (share < 1, self._without, "without a lesion"),
        ):
            if asked and not any(len(p) for p in places):
                raise UsageError(f"There is no place for a patch {kind}", expected="at least one", got="none")

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (contrasts, [depth,] h, w), mask (1, [depth,] h, w) and label (0 or 1), all float32; case.

        The mask is 1 where at least half of the voxel is lesion; case is an index into `patients`. With a
        margin both are larger by it on all four sides, and the patch in their middle is what was asked for.
        """
        rng, _ = generators(self._seed, number, self._stream)
        positive = int((number + 1) * self._share) > int(number * self._share)
        places = self._with if positive else self._without
        there = [n for n, found in enumerate(places) if len(found)]
        by_patient = {
            patient: [there[m] for m in members]
            for patient, members in grouped([self.patients[n] for n in there]).items()
        }
        for _ in range(_ATTEMPTS):
            case = pick(rng, by_patient)
            place = places[case][int(rng.integers(len(places[case])))]
            image, share = self._cut(self._stacks[case], place, rng, jitter=positive)
            inner = self._patch(share)
            fits = (inner >= 0.5).sum() >= self._least if positive else not bool((inner > 0).any())
            if fits:
                return {
                    "image": image,
                    "mask": (share >= 0.5).float(),
                    "label": torch.tensor(float(positive)),
                    "case": torch.tensor(case),
                }
        raise UsageError(
            f"No patch {'with' if positive else 'without'} a lesion fits",
            expected=f"{self._least} voxels of lesion in a patch" if positive else "a patch clear of lesions",
            got=f"none in {_ATTEMPTS} attempts",
            action="choose a smaller least, or a larger clearance_mm",
        )

    def _patch(self, image: Tensor) -> Tensor:
        """The patch in the middle of what is shown, (..., h, w)."""
        for axis in (-2, -1):
            image = image.narrow(axis, self._margin, image.shape[axis] - 2 * self._margin)
        return image

    def _cut(
        self, found: Stack, place: Tensor, rng: np.random.Generator, *, jitter: bool
    ) -> tuple[Tensor, Tensor]:
        """Image and share of lesion; with `jitter` the place is anywhere in the patch's middle half."""
        middle, h, w = (float(p) for p in place)
        if jitter:
            h, w = (c + rng.uniform(-n / 4, n / 4) for c, n in zip((h, w), self._size, strict=True))
        augmentation = self._augmentation
        if augmentation is not None:
            flip = augmentation.flip if found.mirrored else 0.0
            augmentation = dataclasses.replace(augmentation, flip=flip)
        assert found.share is not None  # refused above
        index = torch.arange(self._depth) + int(middle) - self._depth // 2
        index = index.clamp(0, found.images.shape[1] - 1)
        planes = torch.cat([found.images[:, index], found.share[None, index]])
        shown = (self._size[0] + 2 * self._margin, self._size[1] + 2 * self._margin)
        where = window((h, w), shown, augmentation, rng)
        out = where.cut(planes.flatten(0, 1)).reshape(*planes.shape[:2], *shown)
        image, share = out[:-1], out[-1:]
        if augmentation is not None:
            image = augmentation.intensity(image, rng)
        return (image[:, 0], share[:, 0]) if self._depth == 1 else (image, share)


def _places(mask: Tensor) -> Tensor:
    """Voxels (slice, h, w) that are set: (n, 3)."""
    return mask.nonzero().to(torch.int16)


def _lesions(stack: Stack) -> Tensor:
    """Lesion voxels, which a patch may lie around."""
    assert stack.share is not None
    return stack.share >= 0.5


def _free(
    stack: Stack, size: tuple[int, int], depth: int, clearance_mm: float, scalp_mm: float, filled: float
) -> Tensor:
    """Middles of patches without lesion, on every second pixel."""
    assert stack.share is not None
    clear = [int(clearance_mm // mm) for mm in (stack.slice_mm, *stack.pixel_mm)]
    sides = (depth // 2, size[0] // 2 + 1, size[1] // 2 + 1)
    near = _box_sum(stack.share > 0, [n + c for n, c in zip(sides, clear, strict=True)])
    inside = stack.inside()
    half = (0, size[0] // 2, size[1] // 2)
    share = _box_sum(inside, half) / float((2 * half[1] + 1) * (2 * half[2] + 1))
    good = (near == 0) & (share >= filled)
    if stack.head and scalp_mm > 0:
        reach = (0, *(int(scalp_mm // p) for p in stack.pixel_mm))
        good &= _box_sum(~_hull(inside), reach) == 0
    grid = torch.zeros_like(good)
    grid[:, ::_STRIDE, ::_STRIDE] = True
    return good & grid


def _comparable(
    stacks: Sequence[Stack], lesions: Sequence[Tensor], free: Sequence[Tensor], *, others: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each stack's places those of both kinds that lie near each other's mirror image.

    Stacks where they are few keep all that they have: with `others`, or when no stack has enough. Else they
    keep none.
    """
    found = []
    for stack, ill, well in zip(stacks, lesions, free, strict=True):
        inside = stack.inside()
        near = [_box_sum(_mirrored(places, inside), _NEAR) > 0 for places in (well, ill)]
        found.append((ill & near[0], well & near[1]))
    enough = [min(int(places.sum()) for places in both) >= _COMPARABLE for both in found]
    every = others or not any(enough)
    kept = [
        both if good else tuple(places if every else torch.zeros_like(places) for places in (ill, well))
        for both, good, ill, well in zip(found, enough, lesions, free, strict=True)
    ]
    return [ill for ill, _ in kept], [well for _, well in kept]


def _mirrored(mask: Tensor, inside: Tensor) -> Tensor:
    """A mask (slice, h, w) on the other side of the plane half way through the foreground."""
    found = inside.any(dim=0).any(dim=1).nonzero()
    if not len(found):
        return mask
    other = int(found.min()) + int(found.max()) - torch.arange(mask.shape[_LEFT_RIGHT])
    there = (other >= 0) & (other < mask.shape[_LEFT_RIGHT])
    return mask[:, other.clamp(0, mask.shape[_LEFT_RIGHT] - 1)] & there[None, :, None]


def _hull(inside: Tensor) -> Tensor:
    """Voxels of (slice, h, w) with foreground on all four sides within their slice."""
    hull = torch.ones_like(inside)
    for axis in (1, 2):
        before = inside.cumsum(axis) > 0
        after = inside.flip(axis).cumsum(axis).flip(axis) > 0
        hull &= before & after
    edge = torch.zeros_like(hull)  # the border of the image counts as outside
    edge[:, 1:-1, 1:-1] = True
    return hull & edge


def _box_sum(mask: Tensor, reach: Sequence[int]) -> Tensor:
    """How many voxels are set within so many steps along each axis, int32 of the same shape."""
    total = mask.to(torch.int32)
    for axis, r in enumerate(reach):
        count = total.shape[axis]
        start = torch.zeros_like(total.narrow(axis, 0, 1))
        running = torch.cat([start, total.cumsum(axis, dtype=torch.int32)], dim=axis)
        place = torch.arange(count)
        upper = running.index_select(axis, (place + r + 1).clamp(max=count))
        total = upper - running.index_select(axis, (place - r).clamp(min=0))
    return total
