"""The PACS as MONAI Label's datastore: an image is a series, its id the Series Instance UID."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.config import settings as stock
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.interfaces.datastore import DefaultLabelTag
from pydicom.uid import generate_uid

from medgan_core import io
from medgan_core.errors import UsageError
from monailabel_app.dicom.errors import PacsAnswerError
from monailabel_app.dicom.pacs import Pacs, SeriesEntry
from monailabel_app.dicom.segmentation import segmentation
from monailabel_app.dicom.settings import PacsSettings
from monailabel_app.dicom.source import Source, read_series
from monailabel_app.dicom.talking import talking
from monailabel_app.study_folder import StudyFolder

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class PacsDatastore(DICOMWebDatastore, StudyFolder):  # type: ignore[misc]
    """Lists the images of every modality, and keeps those that were asked for in a cache.

    The cache holds, for every series, the files as they came (``UID/``) and the volume (``UID.nii``).

    Args:
        pacs: where the images are.
        cache: folder of caches, one for every PACS; "" for MONAI Label's default. Only this user may read it.
    """

    def __init__(self, pacs: Pacs, cache: str = "") -> None:
        self.pacs = pacs
        self._swap = threading.Lock()
        super().__init__(
            client=pacs.client, search_filter=dict(pacs.settings.search), cache_path=cache or None
        )
        os.chmod(self._datastore_path, 0o700)

    def list_images(self) -> list[str]:
        """Series that hold images; `PacsError` when the PACS does not say."""
        return [entry.uid for entry in self.pacs.images()]

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Series that a segmentation in the PACS refers to; `PacsError` when the PACS does not say."""
        with talking(self.pacs.settings.url, "list its segmentations"):
            found: list[str] = super().get_labeled_images(label_tag, labels)
        return found

    def json(self) -> dict[str, Any]:
        """The listing of ``GET /datastore/?output=all``: every image of the PACS, cached or not."""
        known: dict[str, Any] = super().json()
        objects = {}
        for entry in self.pacs.images():
            labels = known["objects"].get(entry.uid, {}).get("labels", {})
            objects[entry.uid] = {"image": {"ext": ".nii", "info": asdict(entry)}, "labels": labels}
        return {**known, "objects": objects}

    def get_image_uri(self, image_id: str) -> str:
        """Path of a series as NIfTI, fetched now when it is new or has changed; "" when there is none.

        Raises:
            PacsError: when the PACS does not send it.
            InputError: when it is not one volume.
        """
        entry = self.pacs.find(image_id) if _UID.fullmatch(image_id) and len(image_id) <= 64 else None
        if entry is None:
            return ""
        if not self._volume(image_id).is_file() or not self._complete(entry):
            self._fetch(entry)
        return str(self._volume(image_id))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known about a cached series; not where it lies on this machine."""
        known: dict[str, Any] = super().get_image_info(image_id)
        return {key: value for key, value in known.items() if key != "path"}

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refused: an upload under the UID of a series would pass for what the PACS holds.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "Images of this server come from the PACS",
            expected="an image that is sent to the PACS",
            got=f"an upload under the name {image_id[:64]!r}",
            action="store the series in the PACS, or submit the volume with POST /jobs",
        )

    def series_of(self, path: Path) -> str | None:
        """The series whose volume a path of this datastore is; None for any other file."""
        cached = path.parent == self._root and path.suffix == ".nii" and self._files(path.stem).is_dir()
        return path.stem if cached else None

    def source(self, series_uid: str) -> Source:
        """The headers of a series in the cache.

        Raises:
            InputError: when a file is damaged.
        """
        return Source.load(self._files(series_uid))

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        label_id: str = "",
    ) -> str:
        """Keep a label; a final one is stored in the PACS as DICOM SEG.

        Raises:
            PacsError: when the PACS does not take it.
            UnwritableError: when it holds no label.
        """
        self.get_image_uri(image_id)
        if label_tag == DefaultLabelTag.FINAL:
            label_info = {**label_info, **self._store_label(image_id, label_filename, label_info)}
        saved: str = StudyFolder.save_label(self, image_id, label_filename, label_tag, label_info)
        return saved

    def _store_label(self, image_id: str, label_filename: str, info: Mapping[str, Any]) -> dict[str, Any]:
        labels, source = io.read(label_filename), self.source(image_id)
        told = info.get("label_info") or []
        values = [int(value) for value in np.unique(labels.data) if value]
        names = {value: str(one["name"]) for value, one in zip(values, told, strict=False) if one.get("name")}
        series_uid = str(generate_uid(prefix=None))
        self.pacs.store([segmentation(labels, names, [source], None, series_uid=series_uid, number=300)])
        return {"SeriesInstanceUID": series_uid, "StudyInstanceUID": str(source.header.StudyInstanceUID)}

    @property
    def _root(self) -> Path:
        return Path(self._datastore.image_path()).resolve()

    def _volume(self, series_uid: str) -> Path:
        return self._root / f"{series_uid}.nii"

    def _files(self, series_uid: str) -> Path:
        return self._root / series_uid

    def _complete(self, entry: SeriesEntry) -> bool:
        """False when the PACS has more or fewer instances than the cache."""
        folder = self._files(entry.uid)
        return folder.is_dir() and entry.instances in (None, len(list(folder.iterdir())))

    def _fetch(self, entry: SeriesEntry) -> None:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self._root) as scratch:
            files = Path(scratch) / entry.uid
            files.mkdir()
            count = self.pacs.fetch(entry, files)
            if count < (entry.instances or 1):
                raise PacsAnswerError(
                    "The PACS did not send the whole series",
                    expected=f"{entry.instances or 'some'} instances",
                    got=str(count),
                    action="try again; look at the series in the PACS if it happens again",
                )
            volume = read_series(files)
            image = io.write(volume, Path(scratch) / f"{entry.uid}.nii")
            with self._swap:
                shutil.rmtree(self._files(entry.uid), ignore_errors=True)
                files.rename(self._files(entry.uid))
                super().add_image(entry.uid, str(image), {**asdict(entry), "notes": list(volume.notes)})


def open_datastore(url: str) -> PacsDatastore:
    """The datastore of a DICOMweb address, set up from the environment; the PACS is not contacted yet.

    Raises:
        UsageError: when the settings do not fit.
    """
    settings = PacsSettings.from_environment(url, os.environ)
    return PacsDatastore(Pacs(settings), stock.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip())
