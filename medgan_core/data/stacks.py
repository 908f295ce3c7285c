"""Brains as stacks of slices with pixels of one size, ready to cut samples from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.data.cases import Case, TrainingSet
from medgan_core.data.study import part
from medgan_core.errors import UsageError

PLANES: dict[str, tuple[int, int, int]] = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
"""Axes of (i, j, k) that become (slice, h, w). Thick slices are always along k and called axial."""

FOREGROUND = 0.1
"""Brighter than this share of the 99.5th percentile is foreground enough to choose places by."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A study's contrasts, (c, slices, h, w).

    Args:
        images: float16, 1 = the 99.5th percentile of the foreground.
        share: of each voxel that is lesion, (slices, h, w), float16; None without a label.
        patient: whose.
        mirrored: True when h runs from left to right, so that mirroring it is anatomy.
        head: with everything outside of the brain.
        slice_mm: distance of the slices.
        pixel_mm: along (h, w).
    """

    images: Tensor
    share: Tensor | None
    patient: str
    mirrored: bool
    head: bool
    slice_mm: float
    pixel_mm: tuple[float, float]

    def inside(self) -> Tensor:
        """Voxels that any contrast shows, (slices, h, w)."""
        return (self.images > FOREGROUND).any(dim=0)

    def filled_slices(self, least: float) -> list[int]:
        """Slices where the foreground of every contrast is this share of its largest slice's, or more."""
        good = torch.ones(self.images.shape[1], dtype=torch.bool)
        for image in self.images:
            area = (image > FOREGROUND).sum(dim=(1, 2))
            good &= area >= least * area.max()
        return [int(n) for n in good.nonzero()[:, 0]]

    def centre(self) -> tuple[float, float]:
        """Middle of the foreground's box along (h, w)."""
        inside = self.inside().any(dim=0)
        ends = [inside.any(dim=1 - a).nonzero()[:, 0] for a in (0, 1)]
        middles = [
            (float(e[0]) + float(e[-1])) / 2 if len(e) else (n - 1) / 2
            for e, n in zip(ends, inside.shape, strict=True)
        ]
        return middles[0], middles[1]


def stack(
    case: Case, contrasts: Sequence[str], *, plane: str, pixel_mm: float | None, label: str | None = None
) -> Stack:
    """Slices of a case.

    Args:
        case: whose contrasts lie on one grid.
        contrasts: in the order wanted; zeros where one is missing.
        plane: see `PLANES`.
        pixel_mm: resample slices to square pixels of this size (linear, low-pass filtered); None leaves them.
        label: key of a label map on the same grid, any value but 0 is lesion.

    Raises:
        InputError: when the grids differ.
    """
    order = PLANES[plane]
    array, available = case.stack(contrasts)
    first = next(key for key, there in zip(contrasts, available, strict=True) if there)
    spacing = [case.images[first].geometry.spacing[a] for a in order]
    pixels = (pixel_mm, pixel_mm) if pixel_mm is not None else (spacing[1], spacing[2])
    planes = array
    if label is not None:
        planes = np.concatenate([array, (case.label(label, like=first) > 0)[None].astype(np.float32)])
    slices = torch.from_numpy(
        np.ascontiguousarray(planes.transpose(order[0] + 1, 0, order[1] + 1, order[2] + 1))
    )
    size = [max(1, round(n * s / p)) for n, s, p in zip(slices.shape[2:], spacing[1:], pixels, strict=True)]
    if list(slices.shape[2:]) != size:
        slices = functional.interpolate(
            slices, size=size, mode="bilinear", antialias=True, align_corners=False
        )
    together = slices.transpose(0, 1).contiguous().half()
    count = len(contrasts)
    return Stack(
        together[:count],
        together[count] if label is not None else None,
        case.study.patient,
        order[1] == 0,
        case.study.coverage != "brain",
        spacing[0],
        pixels,
    )


def load_stacks(
    data: TrainingSet,
    contrasts: Sequence[str],
    *,
    validation: bool,
    fold: int = -1,
    label: str | None = None,
    coverage: Sequence[str] = ("head", "brain"),
    sources: Sequence[str] = (),
    plane: str = "axial",
    pixel_mm: float | None = None,
) -> list[Stack]:
    """Stacks of all studies with these contrasts, to train on or of the patients left out.

    Args:
        data: where from.
        contrasts: all of which a study must have.
        validation: of the patients left out (see `study.part`).
        fold: cross-validation fold, -1 for the listed split.
        label: a study must have it, too.
        coverage: what of the body is shown.
        sources: sets; none named takes all.
        plane: others than axial are cut from isotropic volumes only.
        pixel_mm: see `stack`.

    Raises:
        UsageError: on an unknown plane, or when there is no such study.
    """
    if plane not in PLANES:
        raise UsageError("There is no such plane", expected=", ".join(PLANES), got=plane, action="choose one")
    labels = [label] if label is not None else []
    keys = (*contrasts, *labels)
    studies = [
        s
        for s in data.select(images=contrasts, labels=labels, coverage=coverage)
        if not sources or s.source in sources
    ]
    cases: dict[tuple[str, str], Case] = {}
    if plane != "axial":  # only the arrays tell which studies are isotropic
        read = (data.case(s, keys) for s in studies)
        cases = {(c.study.patient, c.study.visit): c for c in read if c.isotropic}
        studies = [c.study for c in cases.values()]
    purpose = f"{plane} slices of {' and '.join(keys)}"
    return [
        stack(
            cases.get((s.patient, s.visit)) or data.case(s, keys),
            contrasts,
            plane=plane,
            pixel_mm=pixel_mm,
            label=label,
        )
        for s in part(studies, validation=validation, fold=fold, purpose=purpose)
    ]
