"""What data there is: studies of patients, and how patients are kept apart."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan_core.data import bids
from medgan_core.data.study import Study, add_file, check_splits, folds, select, two_splits
from medgan_core.errors import InputError

__all__ = ["Manifest", "Study", "folds"]

_COLUMNS = ("set", "patient", "visit", "key", "kind", "split", "path")
_STUDY_KEYS = ("set", "patient", "visit", "split", "coverage", "licence", "images", "labels")


@dataclass(frozen=True)
class Manifest:
    """Studies read from a CSV file, a JSON file or a BIDS folder.

    Args:
        studies: in the order of the file.
        root: folder that the file's paths are relative to.
    """

    studies: tuple[Study, ...]
    root: Path

    @staticmethod
    def load(path: Path) -> Manifest:
        """Read a manifest, or find it in a folder: manifest.csv, manifest.json, or a BIDS folder.

        CSV has one row per file and the columns set, patient, visit, key, kind (image or label), split and
        path; coverage and licence are read when there. JSON is ``{"studies": [...]}`` with one object per
        visit: set, patient, split, and optionally visit, coverage, licence, images and labels (file by
        key). Paths are relative to the manifest. For BIDS see `bids.read`.

        Raises:
            InputError: when the manifest is missing or incomplete, names a file that is not there, names a
                key or a file twice, or puts one patient into two splits.
        """
        file, studies = _read(path)
        manifest = Manifest(tuple(studies), file if file.is_dir() else file.parent)
        manifest.check()
        return manifest

    def check(self) -> None:
        """Raise `InputError` when a file is missing or used twice, or a patient is in two splits."""
        check_splits(self.studies)
        used: dict[Path, str] = {}
        for study in self.studies:
            for path in (*study.images.values(), *study.labels.values()):
                name = relative(path, self.root)
                if not path.is_file():
                    raise InputError(
                        "A file of the manifest is not there",
                        expected=name,
                        got="nothing",
                        action="put the file into its place or take its row out",
                    )
                if path in used:
                    raise InputError(
                        "A file is in the manifest twice",
                        expected="every file once",
                        got=f"{name} for {used[path]} and {study.patient}",
                        action="correct the manifest",
                    )
                used[path] = study.patient

    def select(
        self, *, images: Sequence[str] = (), labels: Sequence[str] = (), coverage: Sequence[str] = ()
    ) -> list[Study]:
        """Studies that have all the images and labels named, and one of the coverages if any is named."""
        return select(self.studies, images=images, labels=labels, coverage=coverage)


def relative(path: Path, root: Path) -> str:
    """The path below the root with forward slashes, or its name alone when it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _read(path: Path) -> tuple[Path, list[Study]]:
    """The manifest's file or folder, and its studies."""
    if path.is_dir():
        for name in ("manifest.csv", "manifest.json"):
            if (path / name).is_file():
                path = path / name
                break
        else:
            if bids.is_bids(path):
                return path, bids.read(path)
    reader = {".csv": _read_csv, ".json": _read_json}.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise InputError(
            "The training data have no manifest",
            expected="manifest.csv with the columns "
            + ", ".join(_COLUMNS)
            + "; manifest.json; or a BIDS folder (sub-*)",
            got=f"nothing of that kind in {path.name}" if path.is_dir() else f"no such file {path.name}",
            action="give the folder that holds manifest.csv",
        )
    return path, reader(path)


def _read_csv(file: Path) -> list[Study]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except UnicodeDecodeError as error:
        raise _incomplete("a CSV file in UTF-8", f"{file.name}: {error}") from error
    missing = [c for c in _COLUMNS if rows and c not in rows[0]]
    if missing or not rows:
        raise _incomplete(
            "rows with the columns " + ", ".join(_COLUMNS),
            "no row" if not rows else f"no column {', '.join(missing)}",
        )
    studies: dict[tuple[str, str], Study] = {}
    for number, row in enumerate(rows, start=2):
        if row["kind"] not in ("image", "label") or not all(row[c] for c in ("patient", "key", "path")):
            raise _incomplete(
                "patient, key and path in every row, and image or label as its kind",
                f"line {number}: {row['patient']}, {row['key']}, {row['kind']}, {row['path']}",
            )
        study = studies.setdefault(
            (row["patient"], row["visit"]),
            Study(
                row["set"],
                row["patient"],
                row["visit"],
                row["split"],
                row.get("coverage") or "",
                row.get("licence") or "",
            ),
        )
        if study.split != row["split"]:
            raise two_splits(study.patient, study.split, row["split"])
        if study.source != row["set"]:
            raise InputError(
                f"Two sets name the same patient and visit: {study.patient} {study.visit}".rstrip(),
                expected="names that are unique over all sets",
                got=f"{study.source} and {row['set']}, line {number}",
                action="put the set's name before the patient's, such as siteA/001",
            )
        kind = study.images if row["kind"] == "image" else study.labels
        add_file(kind, row["key"], file.parent / row["path"], study.patient)
    return list(studies.values())


def _read_json(file: Path) -> list[Study]:
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _incomplete("a JSON file", f"{file.name}: {error}") from error
    entries = plain.get("studies") if isinstance(plain, dict) else None
    if not isinstance(entries, list) or not entries:
        raise _incomplete('{"studies": [...]} with at least one study', "none")
    return [_study(entry, number, file.parent) for number, entry in enumerate(entries)]


def _study(entry: Any, number: int, root: Path) -> Study:
    """One object of the JSON manifest."""
    where = f"study {number + 1}"
    if not isinstance(entry, Mapping):
        raise _incomplete("an object for every study", f"{where}: {str(entry)[:80]}")
    wrong = [k for k in entry if k not in _STUDY_KEYS]
    missing = [k for k in ("set", "patient", "split") if not entry.get(k)]
    if wrong or missing:
        got = [f"unknown {', '.join(wrong)}"] * bool(wrong) + [f"no {', '.join(missing)}"] * bool(missing)
        raise _incomplete("the keys " + ", ".join(_STUDY_KEYS), f"{where}: {'; '.join(got)}")
    texts = {k: entry.get(k, "") for k in _STUDY_KEYS[:6]}
    files = {k: entry.get(k, {}) for k in _STUDY_KEYS[6:]}
    fine = all(isinstance(t, str) for t in texts.values()) and all(
        isinstance(f, Mapping) and all(isinstance(p, str) and p for p in f.values()) for f in files.values()
    )
    if not fine:
        raise _incomplete("texts, and a file name for each key of images and labels", f"{where}: other types")
    study = Study(*(texts[k] for k in _STUDY_KEYS[:6]))
    for name, kind in (("images", study.images), ("labels", study.labels)):
        for key, path in files[name].items():
            add_file(kind, key, root / path, study.patient)
    return study


def _incomplete(expected: str, got: str) -> InputError:
    return InputError(
        "The manifest is not complete", expected=expected, got=got, action="add what is missing"
    )
