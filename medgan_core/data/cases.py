"""What a study looks like to a training: 16-bit arrays on their grids, the same from files and from a pack.

Arrays run (i, j, k) as `preprocess.slice_axes` orients volumes: slices along k, every axis towards +R, +A
or +S. MR images are divided by the 99.5th percentile of their foreground and rounded to steps of 1 / levels;
CT stays in HU; labels are whole numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medgan_core.data.study import Study
from medgan_core.errors import InputError, UsageError
from medgan_core.volume import Geometry, Volume

_ISOTROPIC = 1.3


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How studies are brought into their 16-bit form.

    Args:
        levels: steps between 0 and the 99.5th percentile of an MR image's foreground. The rounding error
            is 1 / (levels sqrt(12)): -71 dB at 1024, far below the noise of any scan.
        margin_mm: heads and brains are cropped to the box of their foreground with this margin (the box of
            all images of the study together); None keeps everything. Other anatomy is never cropped.
        in_plane_mm: slices whose spacing is outside of this range are resampled to its nearer end; None
            leaves every spacing as it is.

    Raises:
        UsageError: when the levels do not suit 16 bits.
    """

    levels: int = 1024
    margin_mm: float | None = 8.0
    in_plane_mm: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 16 <= self.levels <= 8192:
            raise UsageError(
                "The number of levels does not suit 16 bits",
                expected="16 to 8192 steps up to the foreground's percentile",
                got=str(self.levels),
                action="choose 1024, or 512 for a smaller pack",
            )


@dataclass(frozen=True, eq=False)
class Stored:
    """One image or label map of a study.

    Args:
        values: (i, j, k), int16; the voxel's value is ``values * step``.
        step: 1 / levels for MR images, 1 for CT (HU) and labels.
        scale: value of the source file that became 1.
        geometry: grid of the array, voxel centres to RAS mm.
    """

    values: NDArray[np.int16]
    step: float
    scale: float
    geometry: Geometry

    def image(self) -> NDArray[np.float32]:
        """Values as float32, (i, j, k)."""
        return np.asarray(self.values * np.float32(self.step), dtype=np.float32)

    def volume(self) -> Volume:
        """The array with its place in the patient."""
        return Volume(self.image(), self.geometry)


@dataclass(frozen=True, eq=False)
class Case:
    """A study with its arrays.

    Args:
        study: who and when.
        images: by contrast.
        labels: by key.
    """

    study: Study
    images: dict[str, Stored] = field(default_factory=dict)
    labels: dict[str, Stored] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        """Grid of the first image, or of the first label map where there is no image."""
        return next(iter((self.images or self.labels).values())).geometry

    @property
    def isotropic(self) -> bool:
        """True when the largest spacing is less than 1.3 times the smallest."""
        spacing = self.geometry.spacing
        return max(spacing) < _ISOTROPIC * min(spacing)

    def stack(self, keys: Sequence[str]) -> tuple[NDArray[np.float32], tuple[bool, ...]]:
        """Images of one grid as one array.

        Args:
            keys: contrasts in the order wanted.

        Returns:
            (contrasts, i, j, k), zeros where one is missing, and which are there.

        Raises:
            InputError: when none is there, or they lie on different grids.
        """
        found = [self.images.get(key) for key in keys]
        grid = _common_grid(self.study, {k: f for k, f in zip(keys, found, strict=True) if f is not None})
        out = np.zeros((len(found), *grid.shape), dtype=np.float32)
        for plane, stored in zip(out, found, strict=True):
            if stored is not None:
                np.multiply(stored.values, np.float32(stored.step), out=plane)
        return out, tuple(f is not None for f in found)

    def label(self, key: str, *, like: str | None = None) -> NDArray[np.int16]:
        """A label map, (i, j, k); with `like`, one that must lie on that image's grid.

        Raises:
            InputError: when the grids differ.
        """
        wanted = {key: self.labels[key]} | ({like: self.images[like]} if like else {})
        _common_grid(self.study, wanted)
        return self.labels[key].values


class TrainingSet(Protocol):
    """Studies to train on, from a manifest's files (`files.FileSet`) or from a pack (`pack.Pack`)."""

    @property
    def studies(self) -> tuple[Study, ...]:
        """All studies in order; paths are for information."""
        ...

    @property
    def storage(self) -> Storage:
        """How the arrays were made."""
        ...

    def select(
        self, *, images: Sequence[str] = (), labels: Sequence[str] = (), coverage: Sequence[str] = ()
    ) -> list[Study]:
        """Studies that have all the images and labels named, and one of the coverages if any is named."""
        ...

    def case(self, study: Study, keys: Collection[str] | None = None) -> Case:
        """A study's arrays; with `keys` only those. Says so to `witness`."""
        ...

    def record(self) -> list[dict[str, str]]:
        """Every source file with its patient, split and sha256, for a run's folder."""
        ...


def label_maps(cases: Iterable[Case], key: str = "labels") -> list[NDArray[np.int16]]:
    """Label maps in RAS order, as the simulation takes them."""
    return [case.label(key) for case in cases]


def _common_grid(study: Study, stored: dict[str, Stored]) -> Geometry:
    if not stored:
        raise InputError(
            f"Study {study.patient} {study.visit} has none of the images asked for",
            expected="at least one of them",
            got=", ".join(study.images) or "no image",
            action="choose other contrasts or studies",
        )
    (first, one), *others = stored.items()
    for key, other in others:
        if not other.geometry.close_to(one.geometry, tolerance_mm=1e-2):
            raise InputError(
                f"Images of study {study.patient} {study.visit} lie on different grids",
                expected=f"{key} on the grid of {first}, {_told(one.geometry)}",
                got=_told(other.geometry),
                action="resample them onto one grid, or leave the study out",
            )
    return one.geometry


def _told(grid: Geometry) -> str:
    spacing, first = ([f"{v:.4g}" for v in values] for values in (grid.spacing, grid.affine[:3, 3]))
    return f"{grid.shape} of {' x '.join(spacing)} mm, the first voxel at ({', '.join(first)})"
