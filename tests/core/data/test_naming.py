from __future__ import annotations

from pathlib import Path

import pytest

from medgan_core.data import naming
from medgan_core.data.study import Study
from medgan_core.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    studies = naming.read(folder)
    return {
        (s.patient, s.visit): {k: p.relative_to(folder).as_posix() for k, p in s.images.items()}
        for s in studies
    }


def test_names_in_the_folder_tell_patient_and_contrast(tmp_path: Path) -> None:
    touch(tmp_path, "a_b_T1w.nii.gz", "a_b_t1CE.nrrd", "a_b_Flair.mha", "c_DIR.nii", "d.nii.gz", "notes.txt")
    assert found(tmp_path) == {
        ("a_b", ""): {"FLAIR": "a_b_Flair.mha", "T1": "a_b_T1w.nii.gz", "T1post": "a_b_t1CE.nrrd"},
        ("c", ""): {"DIR": "c_DIR.nii"},
        ("d", ""): {"image": "d.nii.gz"},
    }


def test_a_folder_is_a_patient_and_what_stands_before_the_contrast_a_visit(tmp_path: Path) -> None:
    touch(tmp_path, "p1/T1.nii.gz", "p1/T2.nii.gz", "p2/2020_T1.nii", "p2/2021_T1.nii", "p2/deep/2022_T1.nii")
    assert found(tmp_path) == {
        ("p1", ""): {"T1": "p1/T1.nii.gz", "T2": "p1/T2.nii.gz"},
        ("p2", "2020"): {"T1": "p2/2020_T1.nii"},
        ("p2", "2021"): {"T1": "p2/2021_T1.nii"},
    }


def test_labels_and_hidden_files_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "a_seg.nii.gz", "a_Mask.nii", "p/labels.nrrd", ".a_T1.nii", ".hidden/T1.nii")
    assert naming.read(tmp_path) == []


def test_two_files_of_one_contrast_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a_T1.nii", "a_T1w.nii")
    with pytest.raises(InputError, match="two files for T1"):
        naming.read(tmp_path)


def test_images_that_are_no_magnitudes_are_told_by_their_names() -> None:
    keys = ("T1", "CT_kernel-B", "adc", "sub-1_ADC", "DWI", "T2w", "PET")
    study = Study("s", "p", "", "train", images={key: Path(key) for key in keys})
    assert study.magnitudes == ("T1", "DWI", "T2w")
