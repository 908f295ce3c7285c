"""The report on all studies of a batch: what is known of each, as it lies in the job's folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import REPORT, Study, place_of

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One study of the cohort.

    Args:
        study: state, verdict, error, seconds.
        rows: of its own report, each with name, value, unit, limit and verdict; none before it is done.
        pictures: PNG file by what it shows, the input first.
    """

    study: Study
    rows: tuple[dict[str, Any], ...] = ()
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """What went wrong, in a line; empty when nothing did."""
        return "" if self.study.error is None else str(self.study.error["title"])


def entries(job: Job) -> Iterator[Entry]:
    """The studies of a batch in order, also of one that still runs or was interrupted."""
    for number, study in enumerate(job.studies):
        folder = job.folder / "results" / place_of(number)
        if study.state not in ("done", "failed"):
            yield Entry(study=study)
            continue
        pictures = sorted(folder.glob("*.png"), key=_input_first) if study.state == "done" else []
        yield Entry(
            study=study,
            rows=tuple(_json(folder / REPORT).get("rows", ())),
            pictures={file.stem.replace("-", " ", 1): file for file in pictures},
        )


def table(job: Job) -> str:
    """The cohort as CSV (RFC 4180): a line for each study; each row of a report has two columns."""
    cohort = list(entries(job))
    titles = {_title(row): None for entry in cohort for row in entry.rows}
    stream = io.StringIO()
    lines = csv.writer(stream)
    head = ["image", "state", "verdict", "seconds", "problem"]
    lines.writerow(_cells([*head, *(column for title in titles for column in (title, f"{title}: verdict"))]))
    for entry in cohort:
        study, found = entry.study, {_title(row): row for row in entry.rows}
        line: list[Any] = [study.image, study.state, study.verdict, study.seconds, entry.problem]
        for title in titles:
            row = found.get(title, {})
            line += [row.get("value"), row.get("verdict")]
        lines.writerow(_cells(line))
    return stream.getvalue()


def _input_first(file: Path) -> tuple[bool, str]:
    return not file.stem.startswith("input-"), file.stem


def _title(row: dict[str, Any]) -> str:
    return f"{row['name']} [{row['unit']}]" if row.get("unit") else str(row["name"])


def _cells(values: list[Any]) -> list[Any]:
    """Text that a spreadsheet would compute is marked as text with an apostrophe."""
    return [f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in values]


def _json(path: Path) -> dict[str, Any]:
    """The file's content; empty when there is none, as of a study that failed before it had a report."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content
