"""What a judging needs, and what was judged once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kept import kept
from benchmarks.systems.runs import Runs

PROTOCOL = 1
"""Raise it when a baseline or a figure changes, so that nothing old is taken from the cache."""


@dataclass(frozen=True)
class Bench:
    """What every section gets.

    Args:
        data: folder with the manifest.
        runs: the trainings.
        images: how many generated ones a system is judged by, and real ones at most.
    """

    data: Path
    runs: Runs
    images: int = 1024

    def judged(self, name: str, make: Callable[[], Any], *, runs: Iterable[str], **settings: Any) -> Any:
        """Plain JSON types that are made once, and again when what they depend on has changed.

        Args:
            name: of the judging, such as ``translation-pix2pix``; unique.
            make: does it.
            runs: names of the runs it opens; their weights are what it depends on.
            settings: whatever else it depends on, as plain JSON types.
        """
        key = {
            "protocol": PROTOCOL,
            "images": self.images,
            "runs": {run: self.runs.hashes(run) for run in runs},
            "settings": settings,
        }
        return kept(self.runs.folder / "judged" / f"{name}.json", key, make)
