"""A DICOM instance as single frames: enhanced multi-frame objects are unfolded, plain ones are one frame."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset, validate_file_meta
from pydicom.uid import ExplicitVRLittleEndian

MR, CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"
# Enhanced and legacy converted enhanced objects, and the plain class of their frames.
PLAIN_CLASS = {
    f"{MR}.1": MR,
    f"{MR}.4": MR,
    f"{CT}.1": CT,
    f"{CT}.2": CT,
    "1.2.840.10008.5.1.4.1.1.130": "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.128.1": "1.2.840.10008.5.1.4.1.1.128",
}
# Where a functional group has another name for what a plain object says.
_NAMES = {"EffectiveEchoTime": "EchoTime", "InversionTimes": "InversionTime"}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame with the header a plain object would have, without pixels.

    Args:
        header: attributes of the instance, and of the frame's functional groups, on one level.
        sop_class: of the instance the frame belongs to.
        number: the frame's number in it, from 1; None when the instance is a plain one.
    """

    header: Dataset
    sop_class: str
    number: int | None = None

    def reference(self) -> Dataset:
        """An item of Referenced SOP: class, instance and frame."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.sop_class
        item.ReferencedSOPInstanceUID = self.header.SOPInstanceUID
        if self.number is not None:
            item.ReferencedFrameNumber = self.number
        return item


def is_enhanced(dataset: Dataset) -> bool:
    """True for a multi-frame object whose frames are described by functional groups."""
    return "PerFrameFunctionalGroupsSequence" in dataset


def frames(dataset: Dataset) -> list[Frame]:
    """The frames of an instance in their stored order."""
    sop_class = str(dataset.SOPClassUID)
    if not is_enhanced(dataset):
        return [Frame(without(dataset, *_PIXELS), sop_class)]
    groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "NumberOfFrames")
    common = without(dataset, *_PIXELS, *groups)
    common.SOPClassUID = PLAIN_CLASS.get(sop_class, sop_class)
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    found = []
    for number, own in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1):
        header = without(common)
        for group in (shared[0], own):
            _flatten(group, header)
        header.InstanceNumber = number
        header.ScanningSequence = _scanning_sequence(header)
        found.append(Frame(header, sop_class, number))
    return found


def plain_instances(dataset: Dataset) -> Iterator[Dataset]:
    """The frames of an enhanced object as plain instances with pixels, uncompressed, ready to be written.

    Their instance UIDs are made up: they are for reading alone, never for storing.
    """
    found = frames(dataset)
    pixels = dataset.pixel_array.reshape(len(found), -1)
    for index, frame in enumerate(found):
        plain = frame.header
        plain.SOPInstanceUID = uid(dataset.SOPInstanceUID, str(index))
        plain.PixelData = pixels[index].tobytes()
        yield encoded(plain)


def encoded(dataset: Dataset) -> Dataset:
    """The dataset itself, made ready to be written as a file (PS3.10), explicit VR little endian.

    Preamble and meta information are complete, since dicomweb-client sends just what is there.
    """
    dataset.preamble = b"\0" * 128
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.FileMetaInformationGroupLength = 0  # Counted when it is written.
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    validate_file_meta(dataset.file_meta)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    return dataset


def uid(*parts: str) -> str:
    """A UID (PS3.5 B.2) that is the same for the same words, so that storing twice stores one object."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"


def without(dataset: Dataset, *keywords: str) -> Dataset:
    """A dataset with the same elements, except for these and for private ones."""
    return Dataset(
        {
            element.tag: element
            for element in dataset
            if element.keyword not in keywords and not element.tag.is_private
        }
    )


def _scanning_sequence(header: Dataset) -> list[str]:
    """The kind of sequence in the words of plain MR objects (PS3.3 C.8.3.1)."""
    echo = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}.get(header.get("EchoPulseSequence"), [])
    more = {"InversionRecovery": "IR", "EchoPlanarPulseSequence": "EP"}
    return echo + [word for keyword, word in more.items() if header.get(keyword) == "YES"]


def _flatten(group: Dataset, header: Dataset) -> None:
    """Put what functional groups say on one level, under the names of plain objects."""
    for element in group:
        if element.VR != "SQ" or element.tag.is_private:
            continue
        for item in element.value:
            for found in item:
                if found.VR == "SQ" or found.tag.is_private:
                    continue
                keyword = _NAMES.get(found.keyword, found.keyword)
                if keyword:
                    setattr(header, keyword, found.value)
