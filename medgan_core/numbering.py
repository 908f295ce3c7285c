"""Keys of the results of one output when several samples were drawn."""

from __future__ import annotations


def numbered(key: str, number: int, count: int) -> str:
    """The key of sample `number` (from 0) of an output: ``image`` of a single one, else ``image-001``, ..."""
    return key if count == 1 else f"{key}-{number + 1:03d}"


def sample_of(key: str) -> int | None:
    """The sample that a `numbered` key tells, counted from 1; None where there is a single one."""
    number = key.rpartition("-")[2]
    return int(number) if key != number and len(number) == 3 and number.isdecimal() else None
