"""Which source images a slice of a result was made from, and how an object says so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from pydicom.dataset import Dataset

from medgan_core.io.spaces import swap
from medgan_core.volume import Geometry
from monailabel_app.dicom.codes import SOURCE_IMAGE, item
from monailabel_app.dicom.frames import Frame
from monailabel_app.dicom.places import on_grid
from monailabel_app.dicom.source import Source

_SLACK_MM = 1e-3


def touched(geometry: Geometry, k: int, source: Source) -> list[Frame]:
    """The source slices whose slab the slice k of a grid touches: its own one where both share a grid."""
    if on_grid(geometry, source):
        return [source.slices[k]]
    depths = source.depths
    half = np.diff(depths).mean() / 2 if len(depths) > 1 else np.inf
    i, j = (side - 1 for side in geometry.shape[:2])
    corners = np.array([(*corner, k, 1) for corner in product((0, i), (0, j))]) @ swap(geometry.affine)[:3].T
    reach = corners @ source.normal
    near = (depths >= reach.min() - half - _SLACK_MM) & (depths <= reach.max() + half + _SLACK_MM)
    return [source.slices[n] for n in np.flatnonzero(near)]


def source_images(geometry: Geometry, k: int, sources: Sequence[Source]) -> list[Dataset]:
    """Items of the Source Image Sequence of slice k (PS3.3 C.12.4)."""
    found = []
    for source in sources:
        for frame in touched(geometry, k, source):
            image = frame.reference()
            image.SpatialLocationsPreserved = "YES" if on_grid(geometry, source) else "NO"
            image.PurposeOfReferenceCodeSequence = [item(SOURCE_IMAGE)]
            found.append(image)
    return found


def refer(dataset: Dataset, frames: Sequence[Frame]) -> None:
    """Name the series and studies of the frames that an object refers to (PS3.3 C.12.2)."""
    studies: dict[str, dict[str, dict[str, Frame]]] = {}
    for frame in frames:
        header = frame.header
        series = studies.setdefault(str(header.StudyInstanceUID), {})
        series.setdefault(str(header.SeriesInstanceUID), {})[str(header.SOPInstanceUID)] = frame
    own = studies.pop(str(dataset.StudyInstanceUID), None)
    if own:
        dataset.ReferencedSeriesSequence = _series(own)
    if studies:
        dataset.StudiesContainingOtherReferencedInstancesSequence = [
            _study(uid, series) for uid, series in studies.items()
        ]


def _study(uid: str, series: dict[str, dict[str, Frame]]) -> Dataset:
    study = Dataset()
    study.StudyInstanceUID = uid
    study.ReferencedSeriesSequence = _series(series)
    return study


def _series(series: dict[str, dict[str, Frame]]) -> list[Dataset]:
    found = []
    for uid, instances in series.items():
        one = Dataset()
        one.SeriesInstanceUID = uid
        one.ReferencedInstanceSequence = []
        for frame in instances.values():
            instance = Dataset()
            instance.ReferencedSOPClassUID = frame.sop_class
            instance.ReferencedSOPInstanceUID = frame.header.SOPInstanceUID
            one.ReferencedInstanceSequence.append(instance)
        found.append(one)
    return found
