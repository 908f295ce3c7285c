"""What data there is: studies of patients, and how patients are kept apart."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medgan_core.errors import InputError

_STANDARD = {"T1pre": "T1", "mask": "lesion"}
_COLUMNS = ("set", "patient", "visit", "key", "kind", "split", "path")


@dataclass(frozen=True)
class Study:
    """One visit of one patient: images and labels by key, all on one grid unless the set says otherwise.

    Args:
        source: name of the data set.
        patient: identifier, unique over all sets.
        visit: identifier within the patient, may be empty.
        split: ``train`` or ``val``.
        coverage: ``head``, ``brain``, or another word of the manifest.
        licence: of the data set.
        images: file by contrast (``T1``, ``T1post``, ``T2``, ``FLAIR``, ...).
        labels: file by key.
    """

    source: str
    patient: str
    visit: str
    split: str
    coverage: str = ""
    licence: str = ""
    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Studies read from a CSV file.

    Args:
        studies: in the order of the file.
        root: folder that the file's paths are relative to.
    """

    studies: tuple[Study, ...]
    root: Path

    @staticmethod
    def load(path: Path) -> Manifest:
        """Read ``manifest.csv`` (or the one in a folder): one row per file, one study per patient and visit.

        Needs the columns set, patient, visit, key, kind (image or label), split and path; coverage and
        licence are read when there.

        Raises:
            InputError: when the file is missing, lacks a column, names a file that is not there, or puts one
                patient into two splits.
        """
        file = path / "manifest.csv" if path.is_dir() else path
        if not file.is_file():
            raise InputError(
                "The training data have no manifest",
                expected="manifest.csv with the columns " + ", ".join(_COLUMNS),
                got=f"no file {file.name}",
                action="give the folder that holds manifest.csv",
            )
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        missing = [c for c in _COLUMNS if rows and c not in rows[0]]
        if missing or not rows:
            raise InputError(
                "The manifest is not complete",
                expected="rows with the columns " + ", ".join(_COLUMNS),
                got="no row" if not rows else f"no column {', '.join(missing)}",
                action="add what is missing",
            )
        studies: dict[tuple[str, str], Study] = {}
        for row in rows:
            key = (row["patient"], row["visit"])
            study = studies.setdefault(
                key,
                Study(
                    row["set"],
                    row["patient"],
                    row["visit"],
                    row["split"],
                    row.get("coverage", ""),
                    row.get("licence", ""),
                ),
            )
            kind = study.images if row["kind"] == "image" else study.labels
            kind[_STANDARD.get(row["key"], row["key"])] = file.parent / row["path"]
        manifest = Manifest(tuple(studies.values()), file.parent)
        manifest.check()
        return manifest

    def check(self) -> None:
        """Raise `InputError` when a file is missing or a patient is in two splits."""
        split: dict[str, str] = {}
        for study in self.studies:
            if split.setdefault(study.patient, study.split) != study.split:
                raise InputError(
                    f"Patient {study.patient} is in two splits",
                    expected="every patient in one split only",
                    got=f"{split[study.patient]} and {study.split}",
                    action="correct the manifest",
                )
            for path in (*study.images.values(), *study.labels.values()):
                if not path.is_file():
                    raise InputError(
                        "A file of the manifest is not there",
                        expected=str(path.relative_to(self.root)),
                        got="nothing",
                        action="put the file into its place or take its row out",
                    )

    def select(
        self, *, images: Sequence[str] = (), labels: Sequence[str] = (), coverage: Sequence[str] = ()
    ) -> list[Study]:
        """Studies that have all the images and labels named, and one of the coverages if any is named."""
        return [
            s
            for s in self.studies
            if set(images) <= set(s.images)
            and set(labels) <= set(s.labels)
            and (not coverage or s.coverage in coverage)
        ]


def folds(studies: Iterable[Study], count: int = 3) -> list[set[str]]:
    """Patients of each cross-validation fold: sorted by set and name, dealt in turn.

    Returns:
        For each fold the patients that are left out of its training.
    """
    patients = sorted({(s.source, s.patient) for s in studies})
    return [{p for n, (_, p) in enumerate(patients) if n % count == fold} for fold in range(count)]
