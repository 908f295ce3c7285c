"""Talking to a PACS by DICOMweb: list series, fetch one, store instances; every failure has a type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from monailabel.datastore.dicom import DICOMwebClientX
from pydicom.dataset import Dataset

from monailabel_app.dicom.errors import PacsError, PacsRefusedError
from monailabel_app.dicom.settings import PacsSettings
from monailabel_app.dicom.talking import Transport, talking

_BATCH_BYTES = 32 << 20
_PAGE = 500
_INSTANCES = 10_000
# Series of these modalities hold no image that a model could take (OT: other, such as parametric maps).
# fmt: off
NO_IMAGES = frozenset((
    "ANN", "ASMT", "AU", "DOC", "ECG", "EPS", "FID", "HD", "KO", "OT", "PLAN", "PR", "REG", "RESP", "RTDOSE",
    "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "STAIN", "TEXTUREMAP",
))
# fmt: on


@dataclass(frozen=True)
class SeriesEntry:
    """What a PACS lists about a series.

    Args:
        uid: Series Instance UID.
        study_uid: Study Instance UID.
        modality: such as ``MR``.
        description: Series Description.
        study_date: ``YYYYMMDD``, or "".
        patient_id: Patient ID.
        instances: how many instances the series has, or None where the PACS does not count.
    """

    uid: str
    study_uid: str
    modality: str
    description: str
    study_date: str
    patient_id: str
    instances: int | None


class Pacs:
    """One DICOMweb server. Safe to use from several threads.

    Args:
        settings: address, access and limits.
    """

    def __init__(self, settings: PacsSettings) -> None:
        self.settings = settings
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, Transport(settings.timeout_s, settings.authorities))
        if settings.user:
            session.auth = (settings.user, settings.password)
        if settings.certificate is not None:
            own = str(settings.certificate)
            session.cert = own if settings.key is None else (own, str(settings.key))
        qido, wado, stow = settings.prefixes
        self.client: DICOMwebClient = DICOMwebClientX(
            url=settings.url,
            session=session,
            qido_url_prefix=qido,
            wado_url_prefix=wado,
            stow_url_prefix=stow,
        )
        # A busy PACS is told to the person at once; dicomweb-client would wait for minutes.
        self.client.set_http_retry_params(retry=False)

    def series(self, **search: str) -> list[SeriesEntry]:
        """Every series that matches, image or not, page by page.

        Args:
            search: keywords of QIDO-RS, beside those of the settings.

        Raises:
            PacsError: when the PACS cannot be reached, refuses, or answers nonsense.
        """
        found: dict[str, SeriesEntry] = {}
        with talking(self.settings.url, "list its series"):
            while True:
                page = self.client.search_for_series(
                    limit=_PAGE,
                    offset=len(found),
                    fields=["SeriesDescription", "NumberOfSeriesRelatedInstances", "PatientID", "StudyDate"],
                    search_filters={**self.settings.search, **search},
                )
                entries = [_entry(Dataset.from_json(one)) for one in page]
                fresh = {entry.uid: entry for entry in entries if entry.uid not in found}
                found |= fresh
                # A PACS that knows no offset sends the same page again.
                if len(page) < _PAGE or not fresh:
                    return list(found.values())

    def images(self) -> list[SeriesEntry]:
        """The series that hold images, of every modality (or those the settings search for).

        Raises:
            PacsError: as `series`.
        """
        return [entry for entry in self.series() if entry.modality not in NO_IMAGES]

    def find(self, series_uid: str) -> SeriesEntry | None:
        """The series of that UID, or None.

        Raises:
            PacsError: as `series`.
        """
        found = (e for e in self.series(SeriesInstanceUID=series_uid) if e.uid == series_uid)
        return next(found, None)

    def fetch(self, entry: SeriesEntry, folder: Path) -> int:
        """Save the instances of a series, uncompressed where the PACS can.

        Args:
            entry: of the series.
            folder: is there, and empty.

        Returns:
            How many instances were saved.

        Raises:
            PacsError: as `series`.
        """
        count = 0
        with talking(self.settings.url, "send the series"):
            for instance in self.client.iter_series(entry.study_uid, entry.uid):
                if str(instance.SeriesInstanceUID) != entry.uid:
                    raise ValueError(f"an instance of series {instance.SeriesInstanceUID}")
                pydicom.dcmwrite(folder / f"{count:05d}.dcm", instance, write_like_original=True)
                count += 1
        return count

    def store(self, instances: Iterable[Dataset]) -> int:
        """Store instances by STOW-RS, some megabytes at a time.

        Returns:
            How many were stored.

        Raises:
            PacsError: as `series`, and when the PACS does not take an instance.
        """
        count = 0
        for batch in _batches(instances):
            with talking(self.settings.url, "store the result"):
                answer = self.client.store_instances(batch)
                stored = self._stored(answer, batch)
            missing = [one for one in batch if str(one.SOPInstanceUID) not in stored]
            if missing:
                raise self._not_taken(answer, len(missing), count + len(batch) - len(missing))
            count += len(batch)
        return count

    def _stored(self, answer: Dataset, batch: Sequence[Dataset]) -> set[str]:
        """Instance UIDs that the PACS has, by its answer; one whose answer says nothing is asked again."""
        if "ReferencedSOPSequence" in answer or "FailedSOPSequence" in answer:
            return {str(one.ReferencedSOPInstanceUID) for one in answer.get("ReferencedSOPSequence") or ()}
        study, series = str(batch[0].StudyInstanceUID), str(batch[0].SeriesInstanceUID)
        found = self.client.search_for_instances(study, series, limit=_INSTANCES)
        return {str(Dataset.from_json(one).SOPInstanceUID) for one in found}

    def _not_taken(self, answer: Dataset, missing: int, stored: int) -> PacsError:
        failed = answer.get("FailedSOPSequence") or ()
        reasons = sorted({f"{int(one.get('FailureReason') or 0):04X}" for one in failed})
        return PacsRefusedError(
            "The PACS did not take every instance",
            expected="every instance stored",
            got=f"{missing} not taken (reasons {', '.join(reasons) or 'not told'}), {stored} stored before",
            action="see the log of the PACS; storing again replaces what was stored, it makes no copies",
        )


def _entry(series: Dataset) -> SeriesEntry:
    count = series.get("NumberOfSeriesRelatedInstances")
    return SeriesEntry(
        uid=str(series.SeriesInstanceUID),
        study_uid=str(series.StudyInstanceUID),
        modality=str(series.get("Modality") or ""),
        description=str(series.get("SeriesDescription") or ""),
        study_date=str(series.get("StudyDate") or ""),
        patient_id=str(series.get("PatientID") or ""),
        instances=None if count is None else int(count),
    )


def _batches(instances: Iterable[Dataset]) -> Iterator[Sequence[Dataset]]:
    batch: list[Dataset] = []
    size = 0
    for instance in instances:
        batch.append(instance)
        size += sum(len(instance.get(k) or b"") for k in ("PixelData", "FloatPixelData"))
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
