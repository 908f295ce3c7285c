"""A BIDS folder as studies: anatomical images of every subject and session, and their labels.

Source of the names: Gorgolewski et al., "The brain imaging data structure", Scientific Data 2016, and its
specification 1.10 (anatomical MR; derivatives).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from medgan_core.data.study import Study, add_file
from medgan_core.errors import InputError

_IMAGES = {"T1w": "T1", "T2w": "T2", "FLAIR": "FLAIR", "PDw": "PD"}
_LABELS = {"dseg": "labels", "seg": "labels"}
_AGENT = re.compile(r"gd|gado|gad|post|contrast|^ce", re.IGNORECASE)
_EVERY = 5


def is_bids(folder: Path) -> bool:
    """True when the folder has subjects."""
    return any(p.is_dir() for p in folder.glob("sub-*"))


def read(folder: Path) -> list[Study]:
    """Studies of a BIDS folder, one per subject and session that has an anatomical image or a label.

    Images: ``sub-*/[ses-*/]anat/*_{T1w,T2w,FLAIR,PDw}.nii[.gz]``. A T1w with the entity ``ce``, or whose
    ``acq`` tells of contrast agent (gd, gado, post, contrast, ce...), is ``T1post``. Where several files
    have one key, the one with the fewest entities is taken, then the first by name.

    Labels: ``derivatives/labels/sub-*/[ses-*/]anat/*.nii[.gz]``; their key is the entity ``label``, else
    ``desc``, else the suffix (``dseg`` and ``seg`` are ``labels``, ``mask`` is ``lesion``).

    Patients are called ``SET/sub-NAME``, SET being the Name in dataset_description.json, else the folder's
    name. The split is the column ``split`` of participants.tsv; without it, of the subjects sorted by
    name every fifth is ``val`` (of fewer than five the last, of a single one none). The column
    ``coverage`` is read as well; without it the coverage is ``head``.

    Raises:
        InputError: when participants.tsv has splits, but none for a subject.
    """
    description = _description(folder)
    source = description.get("Name") or folder.resolve().name
    subjects = sorted(p.name for p in folder.glob("sub-*") if p.is_dir())
    people = _participants(folder / "participants.tsv")
    splits = _splits(subjects, people)
    studies = []
    for subject in subjects:
        for visit, place in _visits(folder, subject):
            study = Study(
                source=source,
                patient=f"{source}/{subject}",
                visit=visit,
                split=splits[subject],
                coverage=people.get(subject, {}).get("coverage") or "",
                licence=description.get("License", ""),
            )
            for path in _volumes(folder / place / "anat"):
                key = _image_key(path)
                if key and key not in study.images:
                    add_file(study.images, key, path, study.patient)
            for path in _volumes(folder / "derivatives" / "labels" / place / "anat"):
                key = _label_key(path)
                if key not in study.labels:
                    add_file(study.labels, key, path, study.patient)
            if study.images or study.labels:
                studies.append(study)
    if not studies:
        raise InputError(
            "The BIDS folder holds nothing to train on",
            expected="sub-*/[ses-*/]anat/*_T1w.nii.gz, _T2w, _FLAIR or _PDw",
            got=f"{len(subjects)} subjects without such a file",
            action="check the folder",
        )
    return studies


def _description(folder: Path) -> dict[str, str]:
    """The texts of dataset_description.json, or nothing when there is none."""
    file = folder / "dataset_description.json"
    if not file.is_file():
        return {}
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            "The description of the BIDS folder cannot be read",
            expected="a JSON object in dataset_description.json",
            got=str(error),
            action="repair the file",
        ) from error
    return {k: v for k, v in plain.items() if isinstance(v, str)} if isinstance(plain, dict) else {}


def _participants(file: Path) -> dict[str, dict[str, str]]:
    """Rows of participants.tsv by subject."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {row["participant_id"]: row for row in rows if row.get("participant_id")}


def _splits(subjects: list[str], people: dict[str, dict[str, str]]) -> dict[str, str]:
    if any("split" in row for row in people.values()):
        missing = [s for s in subjects if not people.get(s, {}).get("split")]
        if missing:
            raise InputError(
                "participants.tsv does not say the split of every subject",
                expected="train, val or test in the column split",
                got="none for " + ", ".join(missing[:5]),
                action="fill the column, or take it out for the default rule",
            )
        return {s: people[s]["split"] for s in subjects}
    last = min(_EVERY, len(subjects)) - 1
    return {s: "val" if len(subjects) > 1 and n % _EVERY == last else "train" for n, s in enumerate(subjects)}


def _visits(folder: Path, subject: str) -> Iterator[tuple[str, Path]]:
    """Sessions of a subject (an empty name for files without one), wherever images or labels are."""
    roots = (folder, folder / "derivatives" / "labels")
    if any((root / subject / "anat").is_dir() for root in roots):
        yield "", Path(subject)
    names = {p.name for root in roots for p in (root / subject).glob("ses-*") if p.is_dir()}
    for name in sorted(names):
        yield name, Path(subject) / name


def _volumes(folder: Path) -> list[Path]:
    """NIfTI files, those with the fewest entities first."""
    found = [p for p in folder.glob("*") if p.name.endswith((".nii", ".nii.gz"))]
    return sorted(found, key=lambda p: (p.name.count("_"), p.name))


def _entities(path: Path) -> tuple[dict[str, str], str]:
    """Entities of a file name and its suffix: ``sub-1_ce-gd_T1w`` gives ({sub: 1, ce: gd}, T1w)."""
    parts = path.name.split(".")[0].split("_")
    entities = dict(p.split("-", 1) for p in parts if "-" in p)
    return entities, parts[-1].split("-")[0]


def _image_key(path: Path) -> str | None:
    entities, suffix = _entities(path)
    key = _IMAGES.get(suffix)
    if key == "T1" and ("ce" in entities or _AGENT.search(entities.get("acq", ""))):
        return "T1post"
    return key


def _label_key(path: Path) -> str:
    entities, suffix = _entities(path)
    key = entities.get("label") or entities.get("desc") or _LABELS.get(suffix, suffix)
    return "lesion" if key == "mask" else key
