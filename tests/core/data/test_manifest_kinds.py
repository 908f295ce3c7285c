from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medgan_core.data.manifest import Manifest
from medgan_core.data.study import Study, part
from medgan_core.errors import InputError, UsageError
from tests.core.data.studies import ROWS, save, write_studies

PLAIN = np.ones((4, 4, 4), dtype=np.int16)


def put(folder: Path, *names: str) -> None:
    for name in names:
        save(PLAIN, np.eye(4), folder / name)


def as_json(manifest: Manifest) -> dict[str, object]:
    def names(files: dict[str, Path]) -> dict[str, str]:
        return {k: str(p.relative_to(manifest.root)) for k, p in files.items()}

    return {
        "studies": [
            {
                "set": s.source,
                "patient": s.patient,
                "visit": s.visit,
                "split": s.split,
                "coverage": s.coverage,
                "licence": s.licence,
                "images": names(s.images),
                "labels": names(s.labels),
            }
            for s in manifest.studies
        ]
    }


def test_json_gives_the_same_studies_as_csv(tmp_path: Path) -> None:
    table = Manifest.load(write_studies(tmp_path))
    (tmp_path / "other.json").write_text(json.dumps(as_json(table)), encoding="utf-8")
    assert Manifest.load(tmp_path / "other.json") == table


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"colour": "red"}, "colour"),
        ({"split": ""}, "split"),
        ({"split": "holiday"}, "holiday"),
        ({"images": {"T1": 3}}, "other types"),
        ({"images": {"T1": "a.nii.gz", "T1pre": "b.nii.gz"}}, "two files for T1"),
        ({"images": {"T1": "a.nii.gz", "T2": "a.nii.gz"}}, "twice"),
    ],
)
def test_a_wrong_json_manifest_is_refused(change: dict[str, object], word: str, tmp_path: Path) -> None:
    put(tmp_path, "a.nii.gz", "b.nii.gz")
    study = {"set": "s", "patient": "p", "split": "train", "images": {"T1": "a.nii.gz"}} | change
    (tmp_path / "manifest.json").write_text(json.dumps({"studies": [study]}), encoding="utf-8")
    with pytest.raises(InputError, match=word):
        Manifest.load(tmp_path)


def test_a_visit_in_two_splits_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.nii.gz", "b.nii.gz")
    rows = [ROWS, "s,p,v,T1,image,head,train,,a.nii.gz", "s,p,v,T2,image,head,val,,b.nii.gz"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(InputError, match=r"p is in two splits.*train and val"):
        Manifest.load(tmp_path)


def test_one_file_under_two_patients_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.nii.gz")
    rows = [ROWS, "s,p,,T1,image,head,train,,a.nii.gz", "s,q,,T1,image,head,val,,a.nii.gz"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(InputError, match="twice"):
        Manifest.load(tmp_path)


def test_a_bids_folder_is_read(tmp_path: Path) -> None:
    put(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_ce-gadolinium_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_FLAIR.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_bold.nii.gz",
        "sub-02/anat/sub-02_acq-postGd_T1w.nii.gz",
        "sub-02/anat/sub-02_T2w.nii",
        "derivatives/labels/sub-01/ses-b/anat/sub-01_ses-b_space-orig_label-lesion_mask.nii.gz",
        "derivatives/labels/sub-02/anat/sub-02_T2w_dseg.nii.gz",
        "derivatives/labels/sub-02/anat/sub-02_T2w_mask.nii.gz",
    )
    (tmp_path / "dataset_description.json").write_text('{"Name": "Demo", "License": "CC0"}', encoding="utf-8")
    first, second, third = Manifest.load(tmp_path).studies
    assert (first.patient, first.visit, first.licence) == ("Demo/sub-01", "ses-a", "CC0")
    assert {k: p.name for k, p in first.images.items()} == {
        "T1": "sub-01_ses-a_T1w.nii.gz",
        "T1post": "sub-01_ses-a_ce-gadolinium_T1w.nii.gz",
    }
    assert (second.visit, set(second.images), set(second.labels)) == ("ses-b", {"FLAIR"}, {"lesion"})
    assert (set(third.images), set(third.labels)) == ({"T1post", "T2"}, {"labels", "lesion"})
    assert [s.split for s in (first, second, third)] == ["train", "train", "val"]


def test_bids_splits_come_from_the_table_or_from_every_fifth_subject(tmp_path: Path) -> None:
    names = [f"sub-{n:02d}" for n in range(1, 8)]
    put(tmp_path, *(f"{n}/anat/{n}_T1w.nii.gz" for n in names))
    default = {s.patient.split("/")[1]: s.split for s in Manifest.load(tmp_path).studies}
    assert [n for n in names if default[n] == "val"] == ["sub-05"]
    table = ["participant_id\tsplit"] + [f"{n}\t{'val' if n < 'sub-03' else 'train'}" for n in names]
    (tmp_path / "participants.tsv").write_text("\n".join(table), encoding="utf-8")
    listed = {s.patient.split("/")[1]: s.split for s in Manifest.load(tmp_path).studies}
    assert [n for n in names if listed[n] == "val"] == ["sub-01", "sub-02"]
    (tmp_path / "participants.tsv").write_text("\n".join(table[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match="sub-07"):
        Manifest.load(tmp_path)


def test_parts_share_no_patient_and_leave_the_test_split_alone() -> None:
    splits = ("train", "train", "val", "train", "test")
    people = [Study("s", f"p{n}", v, split) for n, split in enumerate(splits) for v in "ab"]
    for fold in (-1, 0, 1, 2):
        left = {s.patient for s in part(people, validation=True, fold=fold)}
        used = {s.patient for s in part(people, validation=False, fold=fold)}
        assert left
        assert not left & used
        assert left | used == {"p0", "p1", "p2", "p3"}
    assert {s.patient for s in part(people, validation=True)} == {"p2"}
    with pytest.raises(UsageError, match="fold"):
        part(people, validation=True, fold=3)
    with pytest.raises(UsageError, match="No study"):
        part(people[:4], validation=True)
