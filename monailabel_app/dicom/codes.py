"""Coded words of DICOM that results are described with."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

# PS3.16 CID 7005, Contributing Equipment Purposes of Reference.
SYNTHESIZING = Code("109100", "DCM", "Synthesizing Equipment")
ACQUIRING = Code("109101", "DCM", "Acquisition Equipment")
# CID 7202, Source Image Purposes of Reference; CID 7203, Image Derivation.
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
SEGMENTED_FROM = Code("113076", "DCM", "Segmentation")
PREDICTED_FROM = Code("PREDICTION", "99MEDGAN", "Prediction by a neural network")
# CID 7162, Surface Processing Algorithm Families; used for algorithms of any kind.
NEURAL_NETWORK = Code("123109", "DCM", "Artificial Intelligence")
# UCUM units of a predicted error.
ARBITRARY = Code("[arb'U]", "UCUM", "arbitrary unit")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")

# CID 7150, Segmentation Property Categories.
TISSUE = Code("85756007", "SCT", "Tissue")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")

# Words of label maps: category and type.
_SEGMENTS: dict[str, tuple[Code, Code]] = {
    "brain": (ANATOMY, Code("12738006", "SCT", "Brain")),
    "white matter": (TISSUE, Code("68523003", "SCT", "Cerebral White Matter")),
    "grey matter": (TISSUE, Code("362880003", "SCT", "Grey matter")),
    "gray matter": (TISSUE, Code("362880003", "SCT", "Grey matter")),
    "csf": (TISSUE, Code("65216001", "SCT", "Cerebrospinal fluid")),
    "cerebrospinal fluid": (TISSUE, Code("65216001", "SCT", "Cerebrospinal fluid")),
    "hippocampus": (ANATOMY, Code("5366008", "SCT", "Hippocampus")),
    "lesion": (ABNORMAL, Code("52988006", "SCT", "Lesion")),
    "tumour": (ABNORMAL, Code("108369006", "SCT", "Neoplasm")),
    "tumor": (ABNORMAL, Code("108369006", "SCT", "Neoplasm")),
    "edema": (ABNORMAL, Code("79654002", "SCT", "Edema")),
    "oedema": (ABNORMAL, Code("79654002", "SCT", "Edema")),
    "necrosis": (ABNORMAL, Code("6574001", "SCT", "Necrosis")),
}


def segment(name: str, snomed: str = "") -> tuple[Code, Code]:
    """Category and type of a segment by its code in SNOMED CT, or by its name where that is "".

    A code that is not in the table is an anatomical structure's; a name that is not gets a code of this
    project's own.
    """
    if snomed:
        coded = (pair for pair in _SEGMENTS.values() if pair[1].value == snomed)
        return next(coded, (ANATOMY, Code(snomed, "SCT", name.strip()[:64])))
    known = _SEGMENTS.get(name.strip().lower())
    return known or (TISSUE, Code(name.strip()[:16], "99MEDGAN", name.strip()[:64]))


def item(code: Code) -> Dataset:
    """A code as an item of a code sequence."""
    coded = Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator = code.value, code.scheme_designator
    coded.CodeMeaning = code.meaning
    return coded
