"""A result as a derived series: MR or CT images of the source's class, one for every slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from medgan_core.volume import Volume
from monailabel_app.dicom.errors import UnwritableError
from monailabel_app.dicom.frames import CT, MR, encoded, uid, without
from monailabel_app.dicom.headers import (
    ACQUISITION,
    ORIGIN,
    PATIENT_AND_STUDY,
    WHERE,
    inherit,
    say_laterality,
)
from monailabel_app.dicom.making import Making, mark
from monailabel_app.dicom.pixels import Scale, window
from monailabel_app.dicom.places import on_grid, places
from monailabel_app.dicom.references import refer, source_images, touched
from monailabel_app.dicom.source import Source

_CLASSES = {"MR": MR, "CT": CT}
# PS3.3 C.8.3.1 and C.8.2.1: must be there; empty where nothing true can be said.
_MAY_BE_EMPTY = {
    "MR": ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
    "CT": ("KVP", "AcquisitionNumber"),
}
# The same, where a value is asked for: "research mode" and "none" claim no real sequence.
_NO_SEQUENCE = {"ScanningSequence": "RM", "SequenceVariant": "NONE"}


def derived_series(
    volume: Volume, sources: Sequence[Source], making: Making, *, series_uid: str, number: int
) -> Iterator[Dataset]:
    """The instances of a derived series, ready to be stored.

    Args:
        volume: one channel.
        sources: the series it was made from; patient, study, class and frame of reference are the first's.
        making: how it was made.
        series_uid: of the new series; instance UIDs follow from it.
        number: Series Number.

    Yields:
        One MR or CT Image Storage object for every k.

    Raises:
        UnwritableError: when the source is neither MR nor CT, or the grid cannot be said in DICOM.
    """
    first, grid = sources[0], volume.geometry
    common = _common(first, making)
    common.SeriesInstanceUID, common.SeriesNumber = series_uid, number
    scale = Scale.of(volume.data)
    _values(common, volume, scale)
    common.DerivationDescription = (
        f"{making.description} Stored in steps of {scale.slope:.6g}, error at most {scale.error:.3g}."
    )[:1024]
    for k, place in enumerate(places(grid, first)):
        image = without(common)
        if on_grid(grid, first):
            inherit(image, first.slices[k].header, ORIGIN)
        image.update(place)
        image.SOPInstanceUID = uid(series_uid, str(k))
        image.InstanceNumber = k + 1
        image.SourceImageSequence = source_images(grid, k, sources)
        refer(image, [frame for source in sources for frame in touched(grid, k, source)])
        image.PixelData = scale.codes(volume.data[0, :, :, k]).T.tobytes()
        yield encoded(image)


def _common(source: Source, making: Making) -> Dataset:
    """What every instance of the series says."""
    header, modality = source.header, str(source.header.get("Modality", ""))
    if modality not in _CLASSES:
        raise UnwritableError(
            "Results of this modality cannot be stored as a derived series",
            expected="a source of modality MR or CT",
            got=modality or "no modality",
            action="download the result as NIfTI or NRRD instead",
        )
    common = Dataset()
    inherit(common, header, (*PATIENT_AND_STUDY, *WHERE, *ORIGIN))
    if making.same_contrast:
        inherit(common, header, ACQUISITION[modality])
    for keyword in _MAY_BE_EMPTY[modality]:
        if keyword not in common:
            setattr(common, keyword, None)
    common.SOPClassUID, common.Modality = _CLASSES[modality], modality
    common.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
    say_laterality(common)
    if modality == "MR":
        for keyword, value in _NO_SEQUENCE.items():
            if not common.get(keyword):
                setattr(common, keyword, value)
    mark(common, making, header)
    return common


def _values(image: Dataset, volume: Volume, scale: Scale) -> None:
    """How stored values are read: 16 bits, unsigned, with slope, intercept and window."""
    columns, rows, _ = volume.geometry.shape
    image.Rows, image.Columns = rows, columns
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope = DSfloat(scale.slope, auto_format=True)
    image.RescaleIntercept = DSfloat(scale.intercept, auto_format=True)
    image.RescaleType = "HU" if image.Modality == "CT" else "US"
    shown = window(volume.data)
    if shown is not None:
        image.WindowCenter, image.WindowWidth = (DSfloat(value, auto_format=True) for value in shown)
    if "LossyImageCompression" not in image:
        image.LossyImageCompression = "00"
