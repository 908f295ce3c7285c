"""What a derived object takes over from its source, attribute by attribute; nothing else is inherited."""

from __future__ import annotations

from pydicom.dataset import Dataset

# Who and which visit: the modules Patient, Clinical Trial Subject and Study, General Study, Patient Study.
PATIENT_AND_STUDY = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC",
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex",
    "OtherPatientIDsSequence", "EthnicGroup", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName",
    "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip

# Where: Frame of Reference, and how the patient lay.
BODY_PART = ("BodyPartExamined", "Laterality")
WHERE = ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", *BODY_PART)

# When the patient was scanned, and what was done to the pixels before.
ORIGIN = (
    "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "BurnedInAnnotation", "RecognizableVisualFeatures",
)  # fmt: skip

# How the contrast came about; true for a denoised image, false for a translated one.
ACQUISITION = {
    "MR": (
        "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "SequenceName",
        "AngioFlag", "RepetitionTime", "EchoTime", "InversionTime", "EchoTrainLength", "EchoNumbers",
        "FlipAngle", "NumberOfAverages", "ImagingFrequency", "ImagedNucleus", "MagneticFieldStrength",
        "PercentSampling", "PercentPhaseFieldOfView", "PixelBandwidth", "ReceiveCoilName",
        "TransmitCoilName", "AcquisitionMatrix", "InPlanePhaseEncodingDirection", "SAR",
        "ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusVolume", "ProtocolName",
    ),
    "CT": (
        "KVP", "DataCollectionDiameter", "ReconstructionDiameter", "DistanceSourceToDetector",
        "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight", "RotationDirection", "ExposureTime",
        "XRayTubeCurrent", "Exposure", "FilterType", "FocalSpots", "ConvolutionKernel",
        "ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusVolume", "ProtocolName",
    ),
}  # fmt: skip


def inherit(dataset: Dataset, source: Dataset, keywords: tuple[str, ...]) -> None:
    """Take over those of the attributes that the source has, value by value."""
    for keyword in keywords:
        if keyword in source:
            dataset[keyword] = source[keyword]


def say_laterality(dataset: Dataset) -> None:
    """Laterality is asked for, empty if need be, unless the body part is known to be unpaired (C.7.3.1)."""
    if not dataset.get("BodyPartExamined") and "Laterality" not in dataset:
        dataset.Laterality = None
