"""Studies from the files of a manifest, brought into their 16-bit form when they are asked for.

Finding the foreground needs SciPy, so it is imported when a file is prepared and not before: trainings that
read a pack run without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medgan_core import io
from medgan_core.data.cases import Case, Storage, Stored
from medgan_core.data.manifest import Manifest, relative
from medgan_core.data.study import Study, select
from medgan_core.data.witness import saw
from medgan_core.errors import InputError
from medgan_core.suitability import check_voxels
from medgan_core.volume import Geometry, Volume

if TYPE_CHECKING:
    from medgan_core.preprocess import Placement

_HU_AIR = -500
"""An image with values below this is taken for a CT in HU: MR magnitudes are not negative."""

_MOST = 32767


@dataclass(frozen=True)
class FileSet:
    """The studies of a manifest, read from their files.

    Args:
        manifest: what there is.
        storage: the 16-bit form.
    """

    manifest: Manifest
    storage: Storage = field(default_factory=Storage)

    @property
    def studies(self) -> tuple[Study, ...]:
        """All studies in the manifest's order."""
        return self.manifest.studies

    def select(
        self, *, images: Sequence[str] = (), labels: Sequence[str] = (), coverage: Sequence[str] = ()
    ) -> list[Study]:
        """Studies that have all the images and labels named, and one of the coverages if any is named."""
        return select(self.studies, images=images, labels=labels, coverage=coverage)

    def case(self, study: Study, keys: Collection[str] | None = None) -> Case:
        """Read a study; see `prepare`."""
        saw(study)
        return prepare(study, self.storage, keys)

    def record(self) -> list[dict[str, str]]:
        """Every file with its patient, split and sha256 (all are read for it)."""
        root = self.manifest.root
        return [
            describe(study, kind, key, relative(path, root), sha256(path))
            for study in self.studies
            for kind, files in (("image", study.images), ("label", study.labels))
            for key, path in files.items()
        ]


def describe(study: Study, kind: str, key: str, path: str, digest: str) -> dict[str, str]:
    """One file of a training set in plain JSON types."""
    return {
        "path": path,
        "set": study.source,
        "patient": study.patient,
        "visit": study.visit,
        "split": study.split,
        "licence": study.licence,
        "kind": kind,
        "key": key,
        "sha256": digest,
    }


def sha256(path: Path) -> str:
    """Of a file's bytes; of a folder (a DICOM series), of its files' names and hashes."""
    if path.is_dir():
        lines = (
            f"{p.relative_to(path).as_posix()} {sha256(p)}\n" for p in sorted(path.rglob("*")) if p.is_file()
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def prepare(study: Study, storage: Storage, keys: Collection[str] | None = None) -> Case:
    """Read a study's files and bring them into their 16-bit form.

    Files of one grid are oriented, cropped and resampled together. All images are read even when only
    some are kept, because the box of the crop is that of all of them.

    Args:
        study: of a manifest.
        storage: the form.
        keys: images and labels to keep; None keeps all.

    Raises:
        InputError: when a file cannot be read, an image is constant or has several channels, or a label map
            has values that are no labels.
    """
    images = {key: io.read(path) for key, path in study.images.items()}
    for key, volume in images.items():
        check_voxels(f"{key} of {study.patient}", volume)
    wanted = {k: p for k, p in study.labels.items() if keys is None or k in keys}
    labels = {key: io.read(path) for key, path in wanted.items()}
    case = Case(study)
    for group in _by_grid(images | labels):
        _add_group(
            case,
            {k: v for k, v in images.items() if k in group},
            {k: v for k, v in labels.items() if k in group},
            storage,
        )
    kept = [k for k in study.images if k in case.images and (keys is None or k in keys)]
    return Case(study, {k: case.images[k] for k in kept}, {k: case.labels[k] for k in wanted})


def _by_grid(volumes: dict[str, Volume]) -> list[set[str]]:
    """Keys of the volumes that share a grid."""
    groups: list[tuple[Geometry, set[str]]] = []
    for key, volume in volumes.items():
        for grid, names in groups:
            if grid.close_to(volume.geometry, tolerance_mm=1e-2):
                names.add(key)
                break
        else:
            groups.append((volume.geometry, {key}))
    return [names for _, names in groups]


def _add_group(case: Case, images: dict[str, Volume], labels: dict[str, Volume], storage: Storage) -> None:
    """Bring files of one grid into the 16-bit form, and put them into the case."""
    from medgan_core.preprocess import Preprocess, forward, place_labels  # late: needs SciPy

    ct = {key for key, v in images.items() if float(v.data.min()) < _HU_AIR}
    free = bool(ct) or not images  # HU and bare label maps stay as they are
    settings = Preprocess(
        in_plane_mm=None if free else storage.in_plane_mm,
        crop_margin_mm=storage.margin_mm if not free and case.study.of_head else None,
    )
    # A group of labels alone is placed by its first map; its scale is of no use.
    arrays, placement = forward(settings, list((images or labels).values()))
    geometry = Geometry(placement.shape, grid_affine(placement))
    for (key, _), array, scale in zip(images.items(), arrays, placement.scales, strict=False):
        if key in ct:
            case.images[key] = Stored(_rounded(array * np.float32(scale)), 1.0, 1.0, geometry)
        else:
            values = _rounded(array * np.float32(storage.levels))
            case.images[key] = Stored(values, 1.0 / storage.levels, scale, geometry)
    for key, volume in labels.items():
        values = place_labels(_whole_numbers(volume, key, case.study), placement)
        case.labels[key] = Stored(values, 1.0, 1.0, geometry)


def grid_affine(placement: Placement) -> NDArray[np.float64]:
    """Affine of the array that a `Placement` describes: its voxel centres to RAS mm, (4, 4)."""
    step = np.zeros((4, 4))
    step[3, 3] = 1.0
    for n, axis in enumerate(placement.axes):
        start, stop = placement.box[n]
        factor = (stop - start) / placement.shape[n]
        first = start + 0.5 * factor - 0.5
        if n in placement.flips:
            step[axis, n], step[axis, 3] = -factor, placement.source.shape[axis] - 1 - first
        else:
            step[axis, n], step[axis, 3] = factor, first
    return np.asarray(placement.source.affine @ step)


def _rounded(array: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint(array), -_MOST, _MOST).astype(np.int16)


def _whole_numbers(volume: Volume, key: str, study: Study) -> NDArray[np.int16]:
    data = np.asarray(volume.data[0])
    if data.size and (float(data.min()) < 0 or float(data.max()) > _MOST or np.any(data != np.rint(data))):
        raise InputError(
            f"The label map {key} of {study.patient} has values that are no labels",
            expected=f"whole numbers from 0 to {_MOST}",
            got=f"{data.min()} to {data.max()}",
            action="correct the file, or list it as an image",
        )
    return data.astype(np.int16)
