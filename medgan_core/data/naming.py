"""Studies of a folder without a manifest: the file names tell patient, visit and contrast.

Two layouts are known, and may stand side by side: ``PATIENT_CONTRAST.nii.gz`` in the folder itself, and
``PATIENT/CONTRAST.nii.gz`` or ``PATIENT/VISIT_CONTRAST.nii.gz`` one folder below.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from medgan_core.data.study import Study, add_file

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_CONTRASTS = {
    "t1": "T1",
    "t1w": "T1",
    "t1pre": "T1",
    "t1post": "T1post",
    "t1gd": "T1post",
    "t1c": "T1post",
    "t1ce": "T1post",
    "t2": "T2",
    "t2w": "T2",
    "flair": "FLAIR",
    "pd": "PD",
    "pdw": "PD",
}
_NO_IMAGES = {"seg", "dseg", "label", "labels", "mask", "roi", "lesion", "lesions", "trust"}
_ONLY = "image"


def read(folder: Path, *, apart: bool = False) -> list[Study]:
    """Studies of a folder, sorted by patient and visit; all are listed as ``train`` and ``head``.

    The contrast is the last word of a name, after the last underscore: T1, T1w, T1pre; T1post, T1Gd, T1c,
    T1ce; T2, T2w; FLAIR; PD, PDw, in capitals or not. Another last word is the key of an image of a
    contrast that is not known; names that end in seg, label, mask and the like are left out. A name of one
    word in the folder itself is a patient with one such image.

    Args:
        folder: only it and the folders directly below are looked at, hidden ones left out.
        apart: in the folder itself a last word that is no contrast belongs to the patient's name
            (``case_004`` and ``case_007`` are two patients).

    Returns:
        No study when the folder holds no volume.

    Raises:
        InputError: when there are two files of one contrast of a visit.
    """
    images: dict[tuple[str, str], dict[str, Path]] = {}
    for path, before, word in _volumes(folder):
        if apart and word.lower() not in _CONTRASTS:
            before, word = "", stem(path.name)
        visit = (before, "") if before else (word, "")
        add_file(images.setdefault(visit, {}), _key(word) if before else _ONLY, path, visit[0])
    for below in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        for path, before, word in _volumes(below):
            add_file(images.setdefault((below.name, before), {}), _key(word), path, below.name)
    return [
        Study(folder.name, patient, visit, "train", "head", images=found)
        for (patient, visit), found in sorted(images.items())
    ]


def stem(name: str) -> str:
    """A file name without the ending of a volume."""
    suffix = next((s for s in _SUFFIXES if name.lower().endswith(s)), "")
    return name[: -len(suffix) or None]


def _volumes(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Image files by name, with what stands before the last underscore, and the last word."""
    for path in sorted(folder.iterdir()):
        name = stem(path.name)
        before, _, word = name.rpartition("_")
        if (
            name != path.name
            and path.is_file()
            and not path.name.startswith(".")
            and word.lower() not in _NO_IMAGES
        ):
            yield path, before, word


def _key(word: str) -> str:
    return _CONTRASTS.get(word.lower(), word)
