"""A study is one visit of one patient; how studies are chosen, and patients kept apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medgan_core.errors import InputError, UsageError

SPLITS = ("train", "val", "test")
_STANDARD = {"T1pre": "T1", "mask": "lesion"}
_NO_MAGNITUDE = {"ct", "pet", "suv", "adc", "fa", "md", "cbf", "cbv", "t1map", "t2map"}
_HEAD = ("head", "brain")


@dataclass(frozen=True)
class Study:
    """One visit of one patient: images and labels by key, all on one grid unless the set says otherwise.

    Args:
        source: name of the data set.
        patient: identifier, unique over all sets.
        visit: identifier within the patient, may be empty.
        split: ``train``, ``val``, or ``test`` (which no training looks at).
        coverage: ``head``, ``brain``, or another word of the manifest; where it says none, ``head``.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "coverage", self.coverage or "head")

    @property
    def of_head(self) -> bool:
        """Whether it is of the head, or of the brain without the rest of it."""
        return self.coverage in _HEAD

    @property
    def magnitudes(self) -> tuple[str, ...]:
        """Keys of the images that their names do not tell to be CT, PET or a map of some quantity."""
        words = {key: set(re.split("[^a-z0-9]+", key.lower())) for key in self.images}
        return tuple(key for key, found in words.items() if not found & _NO_MAGNITUDE)


def select(
    studies: Iterable[Study],
    *,
    images: Sequence[str] = (),
    labels: Sequence[str] = (),
    coverage: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> list[Study]:
    """Studies with all the images and labels named, and one of the coverages and sources if any is named."""
    return [
        s
        for s in studies
        if set(images) <= set(s.images)
        and set(labels) <= set(s.labels)
        and (not coverage or s.coverage in coverage)
        and (not sources or s.source in sources)
    ]


def folds(studies: Iterable[Study], count: int = 3) -> list[set[str]]:
    """Patients of each cross-validation fold: sorted by set and name, dealt in turn.

    Returns:
        For each fold the patients that are left out of its training.
    """
    patients = sorted({(s.source, s.patient) for s in studies})
    return [{p for n, (_, p) in enumerate(patients) if n % count == fold} for fold in range(count)]


def part(
    studies: Sequence[Study], *, validation: bool, fold: int = -1, count: int = 3, purpose: str = "this"
) -> list[Study]:
    """The studies to train on, or those of the patients left out of it.

    Args:
        studies: all that could serve.
        validation: those left out.
        fold: cross-validation fold whose patients are left out (see `folds`, dealt over these studies);
            -1 leaves out those listed as ``val``.
        count: number of folds.
        purpose: what they are for, for the message.

    Raises:
        UsageError: on a fold there is not, or when no study is left.
    """
    if not -1 <= fold < count:
        raise UsageError(
            "There is no such cross-validation fold",
            expected=f"0 to {count - 1}, or -1 for the listed split",
            got=str(fold),
            action="choose another fold",
        )
    studies = [s for s in studies if s.split != "test"]
    if fold < 0:
        chosen = [s for s in studies if (s.split == "val") == validation]
    else:
        out = folds(studies, count)[fold]
        chosen = [s for s in studies if (s.patient in out) == validation]
    if not chosen:
        raise UsageError(
            f"No study is there {'to validate' if validation else 'to train'} {purpose} on",
            expected="at least one patient" + (" listed as val" if validation and fold < 0 else ""),
            got=f"none of {len({s.patient for s in studies})} patients that would serve",
            action="add patients, choose another split, or choose a cross-validation fold",
        )
    return chosen


def check_splits(studies: Iterable[Study]) -> None:
    """Raise `InputError` when a patient is in two splits, or a split has another name than `SPLITS`."""
    split: dict[str, str] = {}
    for study in studies:
        if study.split not in SPLITS:
            raise InputError(
                f"Patient {study.patient} is in a split that nothing uses",
                expected=" or ".join(SPLITS),
                got=study.split or "an empty name",
                action="correct the manifest",
            )
        if split.setdefault(study.patient, study.split) != study.split:
            raise two_splits(study.patient, split[study.patient], study.split)


def add_file(kind: dict[str, Path], key: str, path: Path, patient: str) -> None:
    """Note a file under the standard name of its key; `InputError` when there is one already."""
    key = _STANDARD.get(key, key)
    if key in kind:
        raise InputError(
            f"A visit of patient {patient} has two files for {key}",
            expected="one file for each key of a visit",
            got=f"{kind[key].name} and {path.name}",
            action="name the visits or the keys apart",
        )
    kind[key] = path


def two_splits(patient: str, first: str, second: str) -> InputError:
    """The error for a patient found in two splits."""
    return InputError(
        f"Patient {patient} is in two splits",
        expected="every patient in one split only",
        got=f"{first} and {second}",
        action="correct the manifest",
    )
