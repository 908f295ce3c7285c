"""The cohort as one web page that needs nothing else: no script, no file, no address."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from monailabel_app.jobs.cohort import Entry, entries
from monailabel_app.jobs.job import Job

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
color: #222 }
table { border-collapse: collapse; margin: .5rem 0 1rem } th, td { padding: .2rem .7rem; text-align: left;
border-bottom: 1px solid #ddd }
figure { display: inline-block; margin: 0 1rem .5rem 0 } figure img { background: #000; display: block }
figcaption { font-size: 13px; color: #555 } .note { background: #fff4d6; padding: .5rem .8rem }
.pass { color: #14691f } .caution { color: #8a5a00 } .fail { color: #a4161a }
section { border-top: 2px solid #ccc; margin-top: 1.5rem }
"""


def page(job: Job) -> Iterator[str]:
    """The page in parts, a study at a time, so that a large cohort needs no memory.

    Args:
        job: a batch, in any state.
    """
    title = escape(f"Cohort: {job.work.model}")
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    yield '<p class="note">Results are synthetic. Not for diagnosis.</p>\n'
    yield _table(["", ""], _about(job))
    yield "<h2>Studies</h2>\n"
    lines = []
    for number, study in enumerate(job.studies, start=1):
        link = f'<a href="#s{number}">{escape(study.image)}</a>'
        lines.append([link, study.state, _verdict(study.verdict), _number(study.seconds)])
    yield _table(["Image", "State", "Verdict", "Seconds"], lines)
    for number, entry in enumerate(entries(job), start=1):
        yield from _section(number, entry)
    yield "</body></html>\n"


def _about(job: Job) -> list[list[str]]:
    told = job.work.describe()
    states = Counter(study.state for study in job.studies)
    verdicts = Counter(study.verdict for study in job.studies if study.verdict)
    seconds = sum(study.seconds or 0.0 for study in job.studies)
    settings = ", ".join(f"{key} = {value}" for key, value in told["settings"].items())
    moments = [moment and f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (job.created, job.finished)]
    facts = {
        "Model": told["model"],
        "Target": told["target"],
        "Seed": told["seed"],
        "Settings": settings,
        "State": job.state,
        "Studies": ", ".join(f"{count} {state}" for state, count in states.items()),
        "Verdicts": ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()),
        "Time of all studies": f"{seconds:.1f} s",
        "Submitted": moments[0],
        "Ended": moments[1],
        "Device": job.device,
    }
    return [[escape(name), escape(str(value))] for name, value in facts.items() if value not in (None, "")]


def _section(number: int, entry: Entry) -> Iterator[str]:
    study = entry.study
    yield f'<section id="s{number}"><h3>{escape(study.image)}</h3>\n'
    yield f"<p>{study.state} {_verdict(study.verdict)} {escape(entry.problem)}</p>\n"
    for caption, file in entry.pictures.items():
        picture = _embedded(file)
        text = escape(caption)
        yield f'<figure><img alt="{text}" src="{picture}"><figcaption>{text}</figcaption></figure>\n'
    if entry.rows:
        head = ["Check", "Value", "Unit", "Limit", "Verdict"]
        yield _table(head, [_row(row) for row in entry.rows])
    yield "</section>\n"


def _row(row: dict[str, Any]) -> list[str]:
    words = [escape(str(row.get(key, ""))) for key in ("name", "value", "unit", "limit")]
    if isinstance(row.get("value"), float):
        words[1] = _number(row["value"])
    return [*words, _verdict(row.get("verdict"))]


def _table(head: list[str], lines: list[list[str]]) -> str:
    """A table of cells that are HTML already."""
    titles = "".join(f"<th>{title}</th>" for title in head) if any(head) else ""
    rows = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines]
    return "<table>" + (f"<tr>{titles}</tr>" if titles else "") + "\n".join(rows) + "</table>\n"


def _verdict(verdict: str | None) -> str:
    return f'<span class="{escape(verdict)}">{escape(verdict)}</span>' if verdict else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _embedded(file: Path) -> str:
    """The picture as a data URI (RFC 2397)."""
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")
