"""The open sets that the brain models' data come from; `training.data_sources` counts who was looked at."""

from __future__ import annotations

from medgan_core.card import DataSource, Domain

SOURCES = (
    DataSource(
        name="SynthSeg training label maps (simulated heads)",
        patients=14,
        licence="Apache-2.0 (repository)",
        citation="Billot et al., Medical Image Analysis 2023",
        note="label maps only; images were simulated with MR signal equations",
        set="synthseg-labels",
    ),
    DataSource(
        name="Open MS Data, cross-sectional (T1, T1 after contrast agent, T2, FLAIR in MNI space)",
        patients=2,
        licence="CC BY",
        citation="Lesjak et al., Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7",
        set="openms-mni",
    ),
    DataSource(
        name="Open MS Data, longitudinal (T1, T2, FLAIR, thick slices)",
        patients=5,
        licence="CC BY",
        citation="Lesjak et al., Neuroinformatics 2016",
        set="openms-raw",
    ),
    DataSource(
        name="Brain-Tumor-Progression (T1, T1 after contrast agent, T2, FLAIR, thick slices)",
        patients=4,
        licence="CC BY 3.0",
        citation="Schmainda & Prah 2018, TCIA, doi:10.7937/K9/TCIA.2018.15quzvnb",
        set="btp-coreg",
    ),
)

PATIENTS = SOURCES[1:]
"""The sources that are scans of patients."""

MARKED = (SOURCES[1], SOURCES[3])
"""Those of them with lesions marked."""

OTHER_ANATOMY = (
    DataSource(
        name="Lung-PET-CT-Dx (chest CT, shown as what is no head)",
        patients=1,
        licence="CC BY 4.0",
        citation="Li et al. 2020, TCIA, doi:10.7937/TCIA.2020.NNC2-0461",
        set="ct-kernel-pair",
    ),
    DataSource(
        name="TotalSegmentator test volumes (CT and MR of the abdomen) and a spleen of the Medical "
        "Segmentation Decathlon (CT), shown as what is no head",
        patients=2,
        licence="Apache-2.0 (repository); CC BY-SA 4.0",
        citation="Wasserthal et al., Radiology: Artificial Intelligence 2023; Antonelli et al., Nature "
        "Communications 2022",
        share_alike=True,
        set="ct-misc",
    ),
    DataSource(
        name="Medical Segmentation Decathlon (hippocampus crops, shown as what is no head)",
        patients=195,
        licence="CC BY-SA 4.0",
        citation="Antonelli et al., Nature Communications 2022; Simpson et al., arXiv:1902.09063",
        share_alike=True,
        note="at most 60 volumes of other anatomy are used",
        set="msd-hippocampus",
    ),
)


def adult_brain(*, anatomy: str, slice_ratio: tuple[float, float] | None = None) -> Domain:
    """The domain of models that look at scans of adults' brains with pixels and slices of usual sizes."""
    return Domain(
        anatomy=anatomy,
        modality="MR",
        spacing_mm=(0.3, 10.0),
        extent_mm=(60.0, 400.0),
        gate="brain-mr-gate",
        slice_ratio=slice_ratio,
    )
