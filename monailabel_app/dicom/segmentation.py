"""A label map as a DICOM SEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highdicom
import numpy as np
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from pydicom.dataset import Dataset

from medgan_core import __version__
from medgan_core.volume import Volume
from monailabel_app.dicom.codes import NEURAL_NETWORK, SEGMENTED_FROM, segment
from monailabel_app.dicom.errors import UnwritableError
from monailabel_app.dicom.frames import uid
from monailabel_app.dicom.making import MANUFACTURER, Making, mark
from monailabel_app.dicom.multiframe import put_right, stand_ins
from monailabel_app.dicom.source import Source


def segmentation(
    labels: Volume,
    names: Mapping[int, str],
    sources: Sequence[Source],
    making: Making | None,
    *,
    series_uid: str,
    number: int,
    codes: Mapping[int, str] | None = None,
) -> Dataset:
    """One Segmentation Storage object, binary, a segment for every label.

    Args:
        labels: one channel of whole numbers; 0 is background.
        names: of labels; one without a name is called by its number.
        sources: the series it was made from; patient, study and frame of reference are the first's.
        making: how a model made it; None for the work of a person.
        series_uid: of the new series; the instance UID follows from it.
        number: Series Number.
        codes: of labels in SNOMED CT; one without a code gets its name's (`codes.segment`).

    Raises:
        UnwritableError: when there is no label, or the grid cannot be said in DICOM.
    """
    data = labels.data[0]
    found = sorted({int(value) for value in np.unique(data)} - {0} | set(names) - {0})
    if not found or (data != np.rint(data)).any() or found[0] < 0:
        raise UnwritableError(
            "The volume is not a label map with labels",
            expected="whole numbers from 0, and at least one label above 0",
            got=f"values from {data.min():g} to {data.max():g}",
            action="check the labels, or download the volume as NIfTI or NRRD instead",
        )
    numbers = np.searchsorted(found, data.T).astype(np.uint16) + 1
    numbers[data.T == 0] = 0
    planes = stand_ins(labels.geometry, sources[0])
    dataset = Segmentation(
        source_images=planes,
        pixel_array=np.ascontiguousarray(numbers),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(n, names.get(label) or f"label {label}", (codes or {}).get(label, ""), making)
            for n, label in enumerate(found, 1)
        ],
        series_instance_uid=series_uid,
        series_number=number,
        sop_instance_uid=uid(series_uid, "0"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=making.model if making else "MedGAN",
        software_versions=__version__,
        device_serial_number=making.sha256[:16] if making else "1",
        content_label="SEGMENTATION",
        content_description="Synthetic suggestion" if making else "Corrected by a person",
        series_description="Segmentation",
    )
    put_right(dataset, labels.geometry, sources, planes, SEGMENTED_FROM)
    if making:
        mark(dataset, making, sources[0].header)
    return dataset


def _segment(number: int, name: str, code: str, making: Making | None) -> SegmentDescription:
    category, kind = segment(name, code)
    if making is None:
        return SegmentDescription(number, name[:64], category, kind, SegmentAlgorithmTypeValues.MANUAL)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=making.model, version=making.version, family=NEURAL_NETWORK
    )
    return SegmentDescription(
        number, name[:64], category, kind, SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
