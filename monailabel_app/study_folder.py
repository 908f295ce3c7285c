"""MONAI Label's folder of studies, safe for several clients at once."""

from __future__ import annotations

import contextlib
import filecmp
import functools
import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from medgan_core.whole_files import replacing
from monailabel_app.api.uploads import SUFFIXES

logger = logging.getLogger(__name__)

# What reads or changes the list of studies, and never waits for anything but the disk.
_OPERATIONS = (
    "add_image",
    "datalist",
    "get_image_info",
    "get_image_uri",
    "get_label_by_image_id",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "refresh",
    "remove_image",
    "remove_label",
    "save_label",
    "update_image_info",
    "update_label_info",
)


class StudyFolder(LocalDatastore):  # type: ignore[misc]
    """The stock datastore with four differences.

    - One operation runs at a time: while the stock store reads its folder again, its list is empty for a
      moment, and a label that is saved then is forgotten.
    - The thread that watches the folder goes on when reading it fails once (a file vanished between listing
      and opening); in the stock store it ends, and no change is seen any more until the next start.
    - Images, labels and the list (``datastore_v2.json``) are replaced as a whole, so that a full disk spoils
      nothing that was there. A list that cannot be read at the start is kept aside and made again.
    - An id has one image, and one label under each tag: one with another ending takes its place too.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._alone = threading.RLock()
        super().__init__(*args, **options)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image; one of the same id goes, with its labels unless the bytes are the same.

        Raises:
            OSError: when it cannot be written; what was there stays.
        """
        named, ending = self._to_id(os.path.basename(image_filename))
        image_id = image_id or named
        place = Path(self._datastore.image_path()) / self._filename(image_id, ending)
        with FileLock(self._lock_file):
            known = self._datastore.objects.get(image_id)
            same = known is not None and place.is_file() and filecmp.cmp(image_filename, place, shallow=False)
            with replacing(place) as draft:
                shutil.copy(image_filename, draft)
                if not same:
                    self._remove_labels(image_id)
            _remove_others(place, image_id)
            self._datastore.objects[image_id] = ImageLabelModel(
                image=_entry(image_info, place, ending), labels=known.labels if same and known else {}
            )
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        label_id: str = "",
    ) -> str:
        """Store a label in place of the one under this tag. Its id is the image's, whatever `label_id` says.

        Raises:
            ImageNotFoundException: when there is no such image.
            OSError: when it cannot be written; what was there stays.
        """
        study = self._datastore.objects.get(image_id)
        if study is None:
            raise ImageNotFoundException(f"Image {image_id} not found")
        _, ending = self._to_id(os.path.basename(label_filename))
        place = Path(self._datastore.label_path(label_tag)) / self._filename(image_id, ending)
        with FileLock(self._lock_file):
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as draft:
                shutil.copy(label_filename, draft)
            _remove_others(place, image_id)
            study.labels[label_tag] = _entry(label_info, place, ending)
            self._update_datastore_file(lock=False)
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; they are gone when this returns."""
        if study := self._datastore.objects.get(image_id):
            name = self._filename(image_id, study.image.ext)
            _remove_others(Path(self._datastore.image_path()) / name, image_id)
        super().remove_image(image_id)
        self.refresh()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove one label; it is gone when this returns."""
        if label := self._datastore.label(label_id, label_tag):
            name = self._filename(label_id, label.ext)
            _remove_others(Path(self._datastore.label_path(label_tag)) / name, label_id)
        super().remove_label(label_id, label_tag)
        self.refresh()

    def status(self) -> dict[str, Any]:
        """How many images and labels there are. A list that a PACS gives is asked for outside of the lock."""
        total, completed = len(self.list_images()), len(self.get_labeled_images())
        with self._alone:
            tags = Counter(tag for study in self._datastore.objects.values() for tag in study.labels)
        return {"total": total, "completed": completed, "label_tags": dict(tags)}

    def _remove_labels(self, image_id: str) -> None:
        """All labels of an image, also those that are not listed."""
        for folder in Path(self._datastore.label_path(None)).iterdir():
            for ending in SUFFIXES:
                (folder / f"{image_id}{ending}").unlink(missing_ok=True)

    def _update_datastore_file(self, lock: bool = True) -> None:
        place = Path(self._datastore_config_path)
        with FileLock(self._lock_file) if lock else contextlib.nullcontext(), replacing(place) as draft:
            plain = self._datastore.model_dump(exclude={"base_path"})
            draft.write_text(json.dumps(plain, indent=2, default=str), encoding="utf-8")
            self._config_ts = draft.stat().st_mtime

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        try:
            super()._init_from_datastore_file(throw_exception)
        except ValueError:
            aside = f"{self._datastore_config_path}.{int(time.time())}.damaged"
            os.replace(self._datastore_config_path, aside)
            logger.error("the list of studies cannot be read: kept as %s, made again from the files", aside)

    def _on_any_event(self, event: Any) -> None:
        self._watch(super()._on_any_event, event)

    def _on_modify_event(self, event: Any) -> None:
        self._watch(super()._on_modify_event, event)

    def _watch(self, notice: Callable[[Any], None], event: Any) -> None:
        try:
            with self._alone:
                notice(event)
        except Exception:
            logger.exception("the studies could not be read after a change; the next change reads them again")


def _entry(info: Mapping[str, Any] | None, place: Path, ending: str) -> DataModel:
    """What the list says of a file, in MONAI Label's words."""
    return DataModel(info={**(info or {}), "ts": int(time.time()), "name": place.name}, ext=ending)


def _remove_others(place: Path, name: str) -> None:
    """Volumes of the same name with another ending."""
    for ending in SUFFIXES:
        other = place.with_name(f"{name}{ending}")
        if other != place:
            other.unlink(missing_ok=True)


def _one_at_a_time(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def alone(self: StudyFolder, *args: Any, **options: Any) -> Any:
        with self._alone:
            return operation(self, *args, **options)

    return alone


for _name in _OPERATIONS:
    setattr(StudyFolder, _name, _one_at_a_time(getattr(StudyFolder, _name)))
