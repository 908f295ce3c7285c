"""The kinds of work, by name, to JSON and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.ranking import Ranking
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.training import Training
from monailabel_app.jobs.tuning import Tuning
from monailabel_app.jobs.work import Work

KINDS: dict[str, type[Work]] = {cls.kind: cls for cls in (Run, Batch, Training, Tuning, Scoring, Ranking)}


def to_dict(work: Work) -> dict[str, Any]:
    """The work as plain JSON types."""
    return {"kind": work.kind, **dataclasses.asdict(work)}


def from_dict(plain: Mapping[str, Any]) -> Work:
    """The work that `to_dict` wrote down.

    Raises:
        KeyError: when there is no such kind.
        TypeError: when a field is missing or unknown.
    """
    fields = dict(plain)
    return KINDS[fields.pop("kind")](**fields)
