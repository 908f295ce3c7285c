"""Who is looked at: the patients whose arrays are read, for what a model's card says of its data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from medgan_core.data.study import Study


@dataclass(frozen=True, order=True)
class Patient:
    """One who was looked at.

    Args:
        set: name of the data set in the manifest.
        patient: identifier, unique over all sets.
        licence: of the data.
    """

    set: str
    patient: str
    licence: str


_SEEN: ContextVar[set[Patient] | None] = ContextVar("seen", default=None)


@contextmanager
def witnessed() -> Iterator[set[Patient]]:
    """The patients whose arrays are read within; every training set tells it with `saw`."""
    seen: set[Patient] = set()
    before = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(before)


def saw(study: Study) -> None:
    """Note that a study's arrays are read."""
    seen = _SEEN.get()
    if seen is not None:
        seen.add(Patient(study.source, study.patient, study.licence))
