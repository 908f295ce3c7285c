"""The folder of studies while several clients use it, and while files come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from monailabel.datastore.local import LocalDatastore

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
