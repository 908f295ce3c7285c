"""Scans of patients whose brain structures are labelled, for segmentation: slabs, and whole ones.

Label maps have the values of `structures.LABELS`. What is asked for is the class of every pixel
(`structures.STRUCTURES`), as in `structure_scans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.data.augmentation import scanner_effects
from medgan_core.data.cases import Case
from medgan_core.data.draws import TRAINING, generators, grouped, pick
from medgan_core.data.slab_places import VIEWED, draw_window, take
from medgan_core.data.slabs import draw_turn, moved_by
from medgan_core.data.structures import REGION_CLASS, region_map
from medgan_core.preprocess import Preprocess, forward, place_labels, right_axis

_TRIES, _SHOWN = 4, 0.1
_TURNED, _MARGIN = 0.5, 1.25


@dataclass(frozen=True, eq=False)
class LabelledHead:
    """One scan on a network's grid.

    Args:
        patient: whose.
        image: (i, j, k) float16, slices along k, 1 = the 99.5th percentile of the foreground.
        classes: (i, j, k) uint8.
        isotropic: whether slices may also be cut along other axes, and averaged to thicker ones.
        right: the axis that runs from left to right.
    """

    patient: str
    image: NDArray[np.float16]
    classes: NDArray[np.uint8]
    isotropic: bool
    right: int

    @staticmethod
    def of(case: Case, settings: Preprocess, *, image: str, label: str) -> LabelledHead:
        """A case's image with the label map on its grid."""
        array, placement = forward(settings, [case.images[image].volume()])
        labels = place_labels(case.label(label, like=image), placement)
        classes = REGION_CLASS[region_map(labels)]
        return LabelledHead(
            patient=case.study.patient,
            image=array[0].astype(np.float16),
            classes=classes,
            isotropic=case.isotropic,
            right=right_axis(placement),
        )


class LabelledSlabs:
    """Slabs with the classes of their middle slice; sample n depends on the seed and n alone.

    Patients are drawn alike, however many scans there are of each. Half of the slabs are turned and stretched
    a little, half show the mirrored head.

    Args:
        heads: to cut from.
        slices: of a slab (odd).
        size: pixels along i and j.
        seed: of the samples.
        effects: strength of what scanners do to the images, see `augmentation.scanner_effects`.
    """

    def __init__(
        self, heads: Sequence[LabelledHead], *, slices: int, size: int, seed: int, effects: float
    ) -> None:
        self._heads, self._patients = list(heads), grouped([head.patient for head in heads])
        self._slices, self._size, self._seed, self._effects = slices, size, seed, effects

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Input (slices, i, j) and label (i, j), int64."""
        rng, generator = generators(self._seed, number, TRAINING)
        head = self._heads[pick(rng, self._patients)]
        turned, mirrored = bool(rng.random() < _TURNED), bool(rng.random() < 0.5)
        window = round(self._size * _MARGIN) if turned else self._size
        for _ in range(_TRIES):
            image, classes = self._cut(head, window, rng, mirrored=mirrored)
            if float((classes > 0).float().mean()) > _SHOWN:
                break
        if turned:
            grid = draw_turn(window, self._size, rng)
            image = moved_by(grid, image[None])[0]
            classes = moved_by(grid, classes[None, None], mode="nearest")[0, 0]
        image = scanner_effects(image, rng, generator, strength=self._effects)
        return {"input": image, "label": classes.long()}

    def _cut(
        self, head: LabelledHead, window: int, rng: np.random.Generator, *, mirrored: bool
    ) -> tuple[Tensor, Tensor]:
        """Image (slices, window, window), and the classes in the middle of its middle slice, float32."""
        plane, place = draw_window(
            head.classes.shape,
            slices=self._slices,
            size=window,
            isotropic=head.isotropic,
            rng=rng,
            planes=VIEWED,
        )
        side = [head.right] if mirrored else []
        voxels, labels = (np.flip(x, side).transpose(plane) for x in (head.image, head.classes))
        image = take(voxels, place.index).astype(np.float32)
        depth, rows, columns = place.index
        middle = self._slices // 2 * place.subslices + place.subslices // 2
        classes = take(labels, (depth[middle : middle + 1], rows, columns))[0]
        thick = image.reshape(self._slices, place.subslices, *image.shape[1:]).mean(1)
        return torch.from_numpy(thick), torch.from_numpy(classes.astype(np.float32))


class LabelledScans:
    """Whole scans as a served model sees them, to be judged on.

    Args:
        heads: one after the other.
    """

    def __init__(self, heads: Sequence[LabelledHead]) -> None:
        self._heads = list(heads)

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (1, i, j, k) and label (1, i, j, k), int64."""
        head = self._heads[number]
        image = torch.from_numpy(head.image.astype(np.float32))
        return {"image": image[None], "label": torch.from_numpy(head.classes).long()[None]}
