"""The files of jobs: ``jobs/ID/inputs`` is what was uploaded, ``jobs/ID/results`` what was made."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from monailabel_app.jobs.job import Job
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import REPORT, place_of


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder and below; one that vanishes meanwhile does not count.

    Nor does one that has another name elsewhere, as images of the store have in the run of a tuning.
    """
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.stat()
            total += found.st_size if path.is_file() and found.st_nlink == 1 else 0
    return total


def free_bytes(folder: Path) -> int:
    """Bytes that are left on the folder's disk."""
    return shutil.disk_usage(folder).free


def remove_all(job: Job) -> None:
    """Remove the job's folder."""
    shutil.rmtree(job.folder, ignore_errors=True)


def remove_inputs(job: Job) -> None:
    """Remove the uploads, which a job that has ended needs no longer."""
    shutil.rmtree(job.folder / "inputs", ignore_errors=True)


def remove_half_done(job: Job) -> None:
    """Remove what may be half written: all but the report and what studies left that have ended."""
    ended = {place_of(n) for n, study in enumerate(job.studies) if study.state in ("done", "failed")}
    whole = {Path(file).parts[0] for file in job.results.values()} | ended | {REPORT}
    for path in (job.folder / "results").glob("*"):
        if path.name in whole:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_strays(store: Store) -> None:
    """Remove folders of no job: of uploads that were coming when a server was killed."""
    known = {job.id for job in store.jobs()}
    for path in (store.folder / "jobs").glob("*"):
        if path.name not in known:
            shutil.rmtree(path, ignore_errors=True)
