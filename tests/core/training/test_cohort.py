from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from medgan_core import io
from medgan_core.card import ModelCard
from medgan_core.errors import InputError, UsageError
from medgan_core.registry import Registry
from medgan_core.training import cohort
from medgan_core.training.cohort import Cohort
from medgan_core.volume import Geometry, Volume
from tests.crops import write_crops
from tests.models import toy_lesions, toy_suggest
from tests.small_site import write_site

ROWS = "set,patient,visit,key,kind,coverage,split,licence,path"


@pytest.fixture(scope="module")
def translator(toy_registry: Registry) -> ModelCard:
    return toy_registry.card("brain-mr-translate")


@pytest.fixture(scope="module")
def denoiser(toy_registry: Registry) -> ModelCard:
    return toy_registry.card("mr-denoise")


def put(folder: Path, *names: str, side: int = 4) -> None:
    """Volumes that may be images as well as label maps."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        array = (np.arange(side**3, dtype=np.float32) % 2).reshape(side, side, side)
        io.write(Volume(array, Geometry(array.shape, np.eye(4))), folder / name)


def splits(found: Cohort) -> dict[str, str]:
    return {s.patient: s.split for s in found.studies}


def test_a_fifth_of_the_patients_is_held_back_with_all_visits(tmp_path: Path, translator: ModelCard) -> None:
    put(tmp_path, *(f"p{n}/{visit}_{key}.nii" for n in range(10) for visit in "ab" for key in ("T1", "T2")))
    found = Cohort.of(tmp_path, translator)
    assert len(found.studies) == 20
    held = {s.patient for s in found.held_back}
    assert len(held) == 2
    assert found.patients == 8
    assert all((s.split == "val") == (s.patient in held) for s in found.studies)
    put(tmp_path, "q/T1.nii", "q/T2.nii")
    later = splits(Cohort.of(tmp_path, translator))
    assert sum(later[p] == "val" for p in held) >= 1, "most stay held back when others come"


def test_a_manifest_says_who_is_held_back_and_who_is_not_looked_at(
    tmp_path: Path, translator: ModelCard
) -> None:
    rows = [ROWS]
    for patient, split in (("a", "val"), ("b", "train"), ("c", "test")):
        for key in ("T1", "FLAIR"):
            put(tmp_path, f"{patient}-{key}.nii")
            rows.append(f"s,{patient},,{key},image,head,{split},CC0,{patient}-{key}.nii")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    assert splits(Cohort.of(tmp_path, translator)) == {"a": "val", "b": "train"}


def test_translation_needs_pairs_on_one_grid(tmp_path: Path, translator: ModelCard) -> None:
    put(tmp_path, "a_T1.nii", "a_T2.nii", "b_T1.nii", "b_T2.nii", "c_T1.nii", "d_T1.nii", "d_PD.nii")
    put(tmp_path, "b_FLAIR.nii", "e_T2.nii", side=5)
    put(tmp_path, "e_T1.nii")
    found = {s.patient: set(s.images) for s in Cohort.of(tmp_path, translator).studies}
    assert found == {"a": {"T1", "T2"}, "b": {"T1", "T2"}}


def test_denoising_takes_every_magnitude_image(tmp_path: Path, denoiser: ModelCard) -> None:
    put(tmp_path, "a_T1.nii", "a_DIR.nii", "a_ADC.nii", "scan.nii", "c_CT.nii")
    found = {s.patient: set(s.images) for s in Cohort.of(tmp_path, denoiser).studies}
    assert found == {"a": {"T1", "DIR"}, "scan": {"image"}}


@pytest.mark.parametrize("names", [(), ("a_T1.nii", "a_T2.nii"), ("a_T1.nii", "b_T2.nii")])
def test_too_little_is_refused_with_the_names_that_are_read(
    tmp_path: Path, translator: ModelCard, names: tuple[str, ...]
) -> None:
    put(tmp_path, *names)
    with pytest.raises(UsageError, match="too little") as caught:
        Cohort.of(tmp_path, translator)
    assert "PATIENT_T1.nii.gz" in caught.value.expected
    assert "manifest.csv" in caught.value.action


def test_a_file_that_is_no_volume_is_refused_by_name(tmp_path: Path, translator: ModelCard) -> None:
    put(tmp_path, "a_T1.nii", "a_T2.nii", "b_T1.nii")
    (tmp_path / "b_T2.nii").write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"b_T2\.nii"):
        Cohort.of(tmp_path, translator)


def test_many_are_bounded_evenly(tmp_path: Path, denoiser: ModelCard) -> None:
    put(tmp_path, *(f"p{n:03d}.nii" for n in range(100)))
    found = Cohort.of(tmp_path, denoiser)
    assert (found.patients, len(found.held_back)) == (48, 12)
    numbers = sorted(int(s.patient[1:]) for s in found.studies)
    assert numbers[0] < 10
    assert numbers[-1] >= 90


def test_what_is_written_down_comes_back(tmp_path: Path, translator: ModelCard) -> None:
    before = Cohort.of(write_site(tmp_path / "site"), translator)
    after = cohort.write(before.to_list(), tmp_path / "run")
    assert [(s.patient, s.split, list(s.images)) for s in after.studies] == [
        (s.patient, s.split, list(s.images)) for s in before.studies
    ]
    assert [path.read_bytes() for path in after.files] == [path.read_bytes() for path in before.files]
    before.files[0].unlink()
    assert cohort.write(before.to_list(), tmp_path / "run") == after, "what was written down once stays"
    with pytest.raises(InputError, match="not there"):
        cohort.write(before.to_list(), tmp_path / "again")


@pytest.fixture(scope="module")
def suggester(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return toy_suggest(tmp_path_factory.mktemp("suggest"))


def test_suggestions_learn_from_the_final_labels_of_the_store(tmp_path: Path, suggester: ModelCard) -> None:
    put(tmp_path, "a.nii", "b_T1.nii", "c.nii", "d.nii", "e.nii")
    put(tmp_path / "labels" / "final", "a.nii.gz", "b_T1.nii", "c.nii")
    put(tmp_path / "labels" / "original", "d.nii")
    put(tmp_path / "labels" / "final", "e.nii", side=5)
    found = Cohort.of(tmp_path, suggester)
    assert set(splits(found)) == {"a", "b", "c"}, "one has no label, one has it on another grid"
    one = next(s for s in found.studies if s.patient == "a")
    assert one.images == {"T1": tmp_path / "a.nii"}
    assert one.labels == {"labels": tmp_path / "labels" / "final" / "a.nii.gz"}
    assert one.coverage == "crop"
    assert len(found.files) == 6
    again = cohort.write(found.to_list(), tmp_path / "run")
    assert splits(again) == splits(found)
    assert found.left_out == {"not on the image's grid": 1}
    found.studies[0].labels["labels"].write_bytes(b"submitted anew")
    assert all(path.read_bytes() != b"submitted anew" for path in again.files)


def test_every_labelled_image_counts_though_its_names_have_underscores(
    tmp_path: Path, suggester: ModelCard
) -> None:
    names = [f"hippocampus_{n:03d}.nii" for n in range(6)] + ["a_T1.nii", "a_T2.nii"]
    put(tmp_path, *names, "unlabelled_7.nii")
    put(tmp_path / "labels" / "final", *names, "nobody.nii")
    found = Cohort.of(tmp_path, suggester)
    assert {s.images["T1"].name for s in found.studies} == set(names)
    assert all(s.labels["labels"].name == s.images["T1"].name for s in found.studies)
    patients = [*(f"hippocampus_{n:03d}" for n in range(6)), "a", "a"]
    assert sorted(s.patient for s in found.studies) == sorted(patients)
    assert len({s.split for s in found.studies if s.patient == "a"}) == 1, "a patient is on one side"
    assert len({(s.patient, s.visit) for s in found.studies}) == 8
    assert found.left_out == {"not of an image that the model learns from": 1}


def test_of_two_labels_of_one_image_that_is_taken_which_the_store_lists(
    tmp_path: Path, suggester: ModelCard
) -> None:
    put(tmp_path, "a.nii", "b.nii", "c.nii")
    finals = tmp_path / "labels" / "final"
    put(finals, "a.nii.gz", "a.nii", "b.nii", "c.nii")
    listed = {"a": finals / "a.nii", "b": finals / "b.nii"}
    found = Cohort.of(tmp_path, suggester, listed)
    assert {s.patient: s.labels["labels"] for s in found.studies} == listed
    os.utime(finals / "a.nii.gz", (2e9, 2e9))
    assert Cohort.of(tmp_path, suggester).studies[0].labels["labels"].name == "a.nii.gz", "else the newest"


def test_a_model_of_several_inputs_gets_those_on_the_labels_grid(tmp_path: Path) -> None:
    lesions = toy_lesions(tmp_path / "models")
    site = tmp_path / "site"
    put(site, "a_FLAIR.nii", "a_T1.nii", "b_T1.nii", "case-1.nii", "c_FLAIR.nii")
    put(site, "a_T2.nii", side=9)
    put(site / "labels" / "final", "a_FLAIR.nii", "b_T1.nii", "case-1.nii.gz")
    found = {s.patient: s for s in Cohort.of(site, lesions).studies}
    assert set(found) == {"a", "case-1"}, "one has no FLAIR image, one no label"
    assert list(found["a"].images) == ["FLAIR", "T1"]
    assert found["case-1"].images == {"FLAIR": site / "case-1.nii"}
    assert found["a"].labels == {"labels": site / "labels" / "final" / "a_FLAIR.nii"}
    assert found["a"].coverage == "head"


def test_suggestions_learn_from_a_manifest_too(tmp_path: Path, suggester: ModelCard) -> None:
    found = Cohort.of(write_crops(tmp_path, train=2, val=1), suggester)
    assert sorted(splits(found).values()) == ["train", "train", "val"]
    put(tmp_path / "bare", "a.nii", "b.nii")
    with pytest.raises(UsageError, match="final label"):
        Cohort.of(tmp_path / "bare", suggester)
