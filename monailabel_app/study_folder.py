"""MONAI Label's folder of studies, safe for several clients at once."""

from __future__ import annotations

import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from monailabel.datastore.local import LocalDatastore

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
    """The stock datastore with two differences.

    One operation runs at a time: while the stock store reads its folder again, its list is empty for a
    moment, and a label that is saved then is forgotten. And the thread that watches the folder goes on when
    reading it fails once (a file vanished between listing and opening); in the stock store it ends, and no
    change is seen any more until the server is started again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._alone = threading.RLock()
        super().__init__(*args, **options)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; they are gone when this returns."""
        super().remove_image(image_id)
        self.refresh()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove one label; it is gone when this returns."""
        super().remove_label(label_id, label_tag)
        self.refresh()

    def status(self) -> dict[str, Any]:
        """How many images and labels there are. A list that a PACS gives is asked for outside of the lock."""
        total, completed = len(self.list_images()), len(self.get_labeled_images())
        with self._alone:
            tags = Counter(tag for study in self._datastore.objects.values() for tag in study.labels)
        return {"total": total, "completed": completed, "label_tags": dict(tags)}

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


def _one_at_a_time(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def alone(self: StudyFolder, *args: Any, **options: Any) -> Any:
        with self._alone:
            return operation(self, *args, **options)

    return alone


for _name in _OPERATIONS:
    setattr(StudyFolder, _name, _one_at_a_time(getattr(StudyFolder, _name)))
