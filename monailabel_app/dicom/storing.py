"""Results of a job into the PACS, beside the series they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from medgan_core import io
from medgan_core.card import Kind, Label, ModelCard
from medgan_core.errors import UsageError
from medgan_core.volume import Volume
from monailabel_app.dicom.datastore import PacsDatastore
from monailabel_app.dicom.errors import NotFromPacsError
from monailabel_app.dicom.frames import uid
from monailabel_app.dicom.making import Making
from monailabel_app.dicom.places import on_grid
from monailabel_app.dicom.segmentation import segmentation
from monailabel_app.dicom.series import derived_series
from monailabel_app.dicom.source import Source
from monailabel_app.dicom.trust_map import parametric_map
from monailabel_app.jobs.work import REPORT

# Far behind what a scanner counts, so that results are listed after the series of the study: 4 gives 90004.
_SERIES_NUMBERS = 90000


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One result as it lies in the PACS now.

    Args:
        key: of the output.
        study: Study Instance UID, that of the source.
        series: Series Instance UID of the new series.
        modality: ``MR``, ``CT``, ``SEG`` or ``OT`` (a parametric map).
        instances: how many.
    """

    key: str
    study: str
    series: str
    modality: str
    instances: int


def store_results(
    datastore: PacsDatastore,
    card: ModelCard,
    inputs: Iterable[Path],
    folder: Path,
    files: Mapping[str, str],
    *,
    run: str,
) -> list[Stored]:
    """Store results of a run; doing it again replaces them and makes no copies.

    Args:
        datastore: of the PACS.
        card: of the model.
        inputs: the volumes it was given; at least one is of the datastore.
        folder: with the results and ``report.json``.
        files: name in the folder by key of the output.
        run: a word that no other run has; UIDs follow from it.

    Raises:
        NotFromPacsError: when no input came from this PACS.
        UsageError: when its inputs are of several patients.
        UnwritableError: when a result cannot be said in DICOM.
        PacsError: when the PACS does not take it.
    """
    sources = _sources(datastore, inputs)
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    stored = []
    for key, file in files.items():
        volume = io.read(folder / file)
        # The series on the result's grid comes first: it lends its class, numbers and places.
        ordered = sorted(sources, key=lambda source: not on_grid(volume.geometry, source))
        header, kind, series_uid = ordered[0].header, card.port(key).kind, uid(run, key)
        number = _SERIES_NUMBERS + int(header.get("SeriesNumber") or 0) % 10**6
        making = Making.of(report, card, key)
        named = {"labels": card.port(key).labels} if kind == "labels" else {}
        instances = _BUILD[kind](volume, ordered, making, series_uid=series_uid, number=number, **named)
        stored.append(
            Stored(
                key=key,
                study=str(header.StudyInstanceUID),
                series=series_uid,
                modality=_MODALITY.get(kind) or str(header.Modality),
                instances=datastore.pacs.store(instances),
            )
        )
    return stored


def _sources(datastore: PacsDatastore, inputs: Iterable[Path]) -> list[Source]:
    """The series that the inputs came from, in the inputs' order."""
    found = [datastore.series_of(path) for path in inputs]
    sources = [datastore.source(series) for series in dict.fromkeys(found) if series is not None]
    if not sources:
        raise NotFromPacsError(
            "No input of the job came from the PACS",
            expected="a job with at least one input named by its id in the datastore",
            got="uploaded inputs alone",
            action="download the results, or run the model on the series in the PACS",
        )
    patients = {(str(s.header.PatientID), str(s.header.get("IssuerOfPatientID", ""))) for s in sources}
    if len(patients) > 1:
        raise UsageError(
            "The inputs are of several patients",
            expected="inputs of one patient, whose study takes the result",
            got=f"{len(patients)} patients",
            action="run the model on inputs of one patient",
        )
    return sources


def _map(volume: Volume, sources: Sequence[Source], making: Making, **identity: Any) -> list[Dataset]:
    return [parametric_map(volume, sources, making, **identity)]


def _labels(
    volume: Volume,
    sources: Sequence[Source],
    making: Making,
    *,
    labels: Sequence[Label],
    **identity: Any,
) -> list[Dataset]:
    names, codes = ({x.value: getattr(x, what) for x in labels} for what in ("name", "snomed"))
    return [segmentation(volume, names, sources, making, codes=codes, **identity)]


_BUILD: dict[Kind, Callable[..., Iterable[Dataset]]] = {
    "image": derived_series,
    "trust": _map,
    "map": _map,
    "labels": _labels,
}
_MODALITY: dict[Kind, str] = {"trust": "OT", "map": "OT", "labels": "SEG"}
