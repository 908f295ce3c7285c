"""The patients the figures are about: their visits, and the fold each of them is left out in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medgan_core import io
from medgan_core.data.manifest import Manifest, Study, folds
from medgan_core.data.studies import heads
from medgan_core.volume import Volume

CONTRASTS = ("T1", "T1post", "T2", "FLAIR")
TARGETS = ("T1", "T2", "FLAIR")
FOLD_NAMES = "ABC"


@dataclass(frozen=True)
class Patient:
    """All visits of one patient, and the name of the fold whose weights never saw them."""

    name: str
    fold: str
    visits: tuple[Study, ...]


def patients(manifest: Manifest) -> list[Patient]:
    """Every patient with at least two MR contrasts of the head, fold by fold as the trainings have them."""
    studies = heads(manifest)
    return [
        Patient(name, fold, tuple(s for s in studies if s.patient == name))
        for fold, members in zip(FOLD_NAMES, folds(studies, len(FOLD_NAMES)), strict=True)
        for name in sorted(members)
    ]


def read_contrasts(study: Study) -> dict[str, Volume]:
    """The study's MR contrasts by key."""
    return {key: io.read(study.images[key]) for key in CONTRASTS if key in study.images}


def translations(present: Sequence[str]) -> list[tuple[str, tuple[str, ...], str]]:
    """What can be asked of a visit: (name, inputs, target).

    Every pair of T1, T2 and FLAIR, and each of them from all the others that are there (called "all"), where
    that is more than one.
    """
    tasks: list[tuple[str, tuple[str, ...], str]] = []
    for target in TARGETS:
        if target not in present:
            continue
        others = tuple(key for key in CONTRASTS if key in present and key != target)
        tasks += [(f"{key}->{target}", (key,), target) for key in others if key in TARGETS]
        if len(others) > 1:
            tasks.append((f"all->{target}", others, target))
    return tasks


def label(study: Study) -> str:
    """Patient and visit in one word."""
    return f"{study.patient}/{study.visit}" if study.visit else study.patient
