"""A trust map, or another map of a quantity, as a Parametric Map: float voxels with a unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset

from medgan_core.volume import Volume
from monailabel_app.dicom.codes import ARBITRARY, HOUNSFIELD, PREDICTED_FROM
from monailabel_app.dicom.frames import uid
from monailabel_app.dicom.making import MANUFACTURER, Making, mark
from monailabel_app.dicom.multiframe import put_right, stand_ins
from monailabel_app.dicom.pixels import window
from monailabel_app.dicom.source import Source


def parametric_map(
    volume: Volume, sources: Sequence[Source], making: Making, *, series_uid: str, number: int
) -> Dataset:
    """One Parametric Map Storage object with 32-bit float voxels, exactly those of the volume.

    Args:
        volume: one channel, such as an expected absolute error in the unit of its image.
        sources: the series it was made from; patient, study and frame of reference are the first's.
        making: how it was made.
        series_uid: of the new series; the instance UID follows from it.
        number: Series Number.

    Raises:
        UnwritableError: when the grid cannot be said in DICOM.
    """
    first = sources[0]
    values = np.ascontiguousarray(volume.data[0].T, dtype=np.float32)
    planes = stand_ins(volume.geometry, first)
    low, high = float(values.min()), float(values.max())
    centre, width = window(values) or ((low + high) / 2, 1.0)
    mapping = RealWorldValueMapping(
        lut_label="VALUE",
        lut_explanation=making.title[:64],
        unit=HOUNSFIELD if first.header.Modality == "CT" else ARBITRARY,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
    )
    found = ParametricMap(
        source_images=planes,
        pixel_array=values,
        series_instance_uid=series_uid,
        series_number=number,
        sop_instance_uid=uid(series_uid, "0"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=making.model,
        software_versions=making.version,
        device_serial_number=making.sha256[:16],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        window_center=centre,
        window_width=width,
        content_description=f"Synthetic: {making.title}"[:64],
        content_label="MAP",
    )
    put_right(found, volume.geometry, sources, planes, PREDICTED_FROM)
    mark(found, making, first.header)
    return found
