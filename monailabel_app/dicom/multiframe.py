"""What parametric maps and segmentations share: planes to build them on, and what they say afterwards.

highdicom takes geometry and patient from source images on the result's own grid. A source may be enhanced, or
have another grid, so it is given plain stand-ins here, and every reference is put right afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from medgan_core.volume import Geometry
from monailabel_app.dicom.codes import item
from monailabel_app.dicom.frames import Frame, uid
from monailabel_app.dicom.headers import BODY_PART, ORIGIN, PATIENT_AND_STUDY, WHERE, inherit, say_laterality
from monailabel_app.dicom.places import places
from monailabel_app.dicom.references import refer, source_images, touched
from monailabel_app.dicom.source import Source


def stand_ins(geometry: Geometry, source: Source) -> list[Dataset]:
    """A header for every slice k of a grid, with the patient and study of the source.

    Raises:
        UnwritableError: when the grid cannot be said in DICOM.
    """
    found = []
    for k, place in enumerate(places(geometry, source)):
        plane = Dataset()
        inherit(plane, source.header, (*PATIENT_AND_STUDY, *WHERE, *ORIGIN))
        plane.update(place)
        plane.Columns, plane.Rows = geometry.shape[:2]
        plane.SOPClassUID, plane.Modality = source.header.SOPClassUID, source.header.Modality
        plane.SeriesInstanceUID = source.series_uid
        plane.SOPInstanceUID = uid(source.series_uid, "stand-in", str(k))
        found.append(plane)
    return found


def put_right(
    dataset: Dataset, geometry: Geometry, sources: Sequence[Source], planes: Sequence[Dataset], how: Code
) -> None:
    """Replace the references to stand-ins by those to the sources, and add what highdicom leaves out.

    Args:
        dataset: a multi-frame object made on the planes.
        geometry: of the planes.
        sources: the series it was made from.
        planes: as `stand_ins` gave them.
        how: code of the derivation.
    """
    index = {_position(plane): k for k, plane in enumerate(planes)}
    used: dict[tuple[str, int | None], Frame] = {}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        k = index[_position(group.PlanePositionSequence[0])]
        derivation = Dataset()
        derivation.DerivationCodeSequence = [item(how)]
        derivation.SourceImageSequence = source_images(geometry, k, sources)
        group.DerivationImageSequence = [derivation]
        for source in sources:
            for frame in touched(geometry, k, source):
                used[str(frame.header.SOPInstanceUID), frame.number] = frame
    dataset.pop("SourceImageSequence", None)
    dataset.pop("ReferencedSeriesSequence", None)
    refer(dataset, list(used.values()))
    inherit(dataset, planes[0], (*PATIENT_AND_STUDY, *BODY_PART))
    say_laterality(dataset)


def _position(holder: Dataset) -> tuple[float, ...]:
    return tuple(round(float(n), 6) for n in holder.ImagePositionPatient)
