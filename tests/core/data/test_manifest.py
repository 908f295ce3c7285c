from __future__ import annotations

from pathlib import Path

import pytest

from medgan_core.data.manifest import Manifest, folds
from medgan_core.data.studies import heads
from medgan_core.errors import InputError
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


def test_studies_gather_the_files_of_a_visit(data: Path) -> None:
    manifest = Manifest.load(data)
    assert len(manifest.studies) == 5
    assert {len(s.images) for s in heads(manifest)} == {3}
    assert len(manifest.select(labels=["labels"])) == 2


def test_folds_leave_every_patient_out_once(data: Path) -> None:
    studies = heads(Manifest.load(data))
    parts = folds(studies)
    assert len(parts) == 3
    assert set().union(*parts) == {s.patient for s in studies}
    assert sum(map(len, parts)) == len({s.patient for s in studies})


def test_no_training_on_heads_sees_a_patient_listed_as_test(data: Path) -> None:
    listed = (data / "manifest.csv").read_text(encoding="utf-8")
    (data / "tested.csv").write_text(listed.replace(",head,val,", ",head,test,"), encoding="utf-8")
    tested = Manifest.load(data / "tested.csv")
    assert {s.patient for s in heads(tested)} == {"phantom/p0", "phantom/p1"}


def test_a_patient_in_two_splits_is_refused(data: Path, tmp_path: Path) -> None:
    text = (data / "manifest.csv").read_text(encoding="utf-8")
    for name in data.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    row = "phantom,phantom/p0,v2,T1,image,head,val,CC0,p0-T1.nii.gz\n"
    (tmp_path / "manifest.csv").write_text(text + row, encoding="utf-8")
    with pytest.raises(InputError, match="two splits"):
        Manifest.load(tmp_path)


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.csv"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.csv").write_text("set,patient\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="visit"):
        Manifest.load(tmp_path)
    header = "set,patient,visit,key,kind,split,path\n"
    (tmp_path / "manifest.csv").write_text(header + "a,b,c,T1,image,train,gone.nii\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gone\.nii"):
        Manifest.load(tmp_path)
