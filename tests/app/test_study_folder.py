"""The folder of studies while several clients use it, and while files come and go."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from monailabel.datastore.local import LocalDatastore

from monailabel_app.problems import foreseen
from monailabel_app.study_folder import StudyFolder

NAMES = [f"study-{n}" for n in range(12)]


def fill(folder: Path) -> None:
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.nii").write_bytes(b"volume")


def eventually(true: Callable[[], bool]) -> bool:
    patience = time.monotonic() + 20
    while not true():
        if time.monotonic() > patience:
            return False
        time.sleep(0.05)
    return True


def test_nothing_is_missed_or_forgotten_while_the_folder_is_read_again(tmp_path: Path) -> None:
    fill(tmp_path / "studies")
    label = tmp_path / "label.nii"
    label.write_bytes(b"labels")
    store = StudyFolder(str(tmp_path / "studies"), extensions=["*.nii"])
    over = threading.Event()
    missing: list[str] = []

    def read_again() -> None:
        while not over.is_set():
            store.refresh()

    def look() -> None:
        while not over.is_set():
            missing.extend(set(NAMES) - set(store.list_images()))
            missing.extend(name for name in NAMES if not store.get_image_uri(name))

    others = [threading.Thread(target=task) for task in (read_again, look)]
    for thread in others:
        thread.start()
    try:
        for tag in ("final", "a", "b", "c"):
            for name in NAMES:
                store.save_label(name, str(label), tag, {})
    finally:
        over.set()
        for thread in others:
            thread.join()
    assert missing == []
    assert store.status() == {
        "total": len(NAMES),
        "completed": len(NAMES),
        "label_tags": dict.fromkeys(("final", "a", "b", "c"), len(NAMES)),
    }


def test_the_watcher_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "studies")
    store = StudyFolder(str(tmp_path / "studies"), extensions=["*.nii"], auto_reload=True)
    failed = threading.Event()
    listing = LocalDatastore._list_files

    def vanished(self: LocalDatastore, path: str, patterns: list[str]) -> dict[str, str]:
        if not failed.is_set():
            failed.set()
            raise FileNotFoundError(path)
        files: dict[str, str] = listing(self, path, patterns)
        return files

    monkeypatch.setattr(LocalDatastore, "_list_files", vanished)
    (tmp_path / "studies" / "first.nii").write_bytes(b"volume")
    assert failed.wait(20)
    (tmp_path / "studies" / "second.nii").write_bytes(b"volume")
    assert eventually(lambda: {"first", "second"} <= set(store.list_images()))
    (tmp_path / "studies" / "second.nii").unlink()
    assert eventually(lambda: "second" not in store.list_images())


def test_what_is_removed_is_gone_at_once(tmp_path: Path) -> None:
    fill(tmp_path / "studies")
    label = tmp_path / "label.nii"
    label.write_bytes(b"labels")
    store = StudyFolder(str(tmp_path / "studies"), extensions=["*.nii"], auto_reload=True)
    for name in NAMES[:2]:
        store.save_label(name, str(label), "final", {})
    store.remove_label(NAMES[0], "final")
    store.remove_image(NAMES[1])
    assert store.get_labeled_images() == []
    assert NAMES[1] not in store.list_images()


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes: writing stops half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def store_with_label(tmp_path: Path) -> StudyFolder:
    """One image ``head`` with a final label."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "head.nii").write_bytes(b"image")
    (tmp_path / "label.nii").write_bytes(b"label")
    store = StudyFolder(str(tmp_path / "studies"), extensions=["*.nii", "*.nii.gz", "*.nrrd"])
    store.save_label("head", str(tmp_path / "label.nii"), "final", {})
    return store


def test_a_full_disk_spoils_no_stored_image_label_or_list(tmp_path: Path) -> None:
    store = store_with_label(tmp_path)
    before = files(tmp_path / "studies")
    (tmp_path / "large.nii").write_bytes(b"0" * 40000)
    for change in (
        lambda: store.save_label("head", str(tmp_path / "large.nii"), "final", {}),
        lambda: store.add_image("head", str(tmp_path / "large.nii"), {}),
        lambda: store.update_image_info("head", {"note": "x" * 40000}),
    ):
        with full_disk(20000), pytest.raises(OSError, match="too large") as caught:
            change()
        assert foreseen(caught.value).code == "storage-full"
        assert files(tmp_path / "studies") == before


def test_a_list_that_cannot_be_read_is_kept_aside_and_made_again(tmp_path: Path) -> None:
    store_with_label(tmp_path)
    listed = tmp_path / "studies" / "datastore_v2.json"
    listed.write_text(listed.read_text()[:40])
    again = StudyFolder(str(tmp_path / "studies"), extensions=["*.nii"])
    assert again.get_labeled_images() == ["head"]
    (aside,) = (tmp_path / "studies").glob("datastore_v2.json.*.damaged")
    assert len(aside.read_text()) == 40
    assert list(json.loads(listed.read_text())["objects"]) == ["head"]


def test_a_label_with_another_ending_takes_the_place_of_the_first(tmp_path: Path) -> None:
    store = store_with_label(tmp_path)
    (tmp_path / "corrected.nrrd").write_bytes(b"corrected")
    store.save_label("head", str(tmp_path / "corrected.nrrd"), "final", {})
    assert [p.name for p in (tmp_path / "studies" / "labels" / "final").iterdir()] == ["head.nrrd"]
    store.remove_label("head", "final")
    assert store.get_labeled_images() == []


def test_an_image_with_another_ending_takes_the_place_of_the_first_and_goes_for_good(tmp_path: Path) -> None:
    store = store_with_label(tmp_path)
    (tmp_path / "new.nrrd").write_bytes(b"new")
    store.add_image("head", str(tmp_path / "new.nrrd"), {})
    store.refresh()
    assert Path(store.get_image_uri("head")).name == "head.nrrd"
    assert store.get_labeled_images() == [], "labels of the image before do not fit the new one"
    (tmp_path / "studies" / "head.nii").write_bytes(b"left by an older server")
    store.remove_image("head")
    assert store.list_images() == []


def test_the_same_image_stored_again_keeps_its_labels(tmp_path: Path) -> None:
    store = store_with_label(tmp_path)
    (tmp_path / "again.nii").write_bytes(b"image")
    store.add_image("head", str(tmp_path / "again.nii"), {})
    store.refresh()
    assert store.get_labeled_images() == ["head"]
