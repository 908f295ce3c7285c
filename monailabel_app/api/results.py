"""Sending results: volumes in large blocks, converted only when another format is asked for."""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

from fastapi.responses import FileResponse, Response, StreamingResponse

from medgan_core import io
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import REPORT
from monailabel_app.problems import NotFoundError, NotReadyError

_BLOCK = 4 << 20


class VolumeFile(FileResponse):
    """A file sent in blocks that suit volumes."""

    chunk_size = _BLOCK


def volume_response(job: Job, key: str, kind: str) -> Response:
    """One result of a job.

    Args:
        job: must be done.
        key: of the output.
        kind: ``nii``, ``nii.gz`` or ``nrrd``.

    Raises:
        NotReadyError: when the job is not done.
        NotFoundError: when it has no such output.
    """
    _require_done(job)
    if key not in job.results:
        raise NotFoundError(
            "The job has no such result",
            expected="one of " + ", ".join(job.results),
            got=key[:64],
            action="choose one of them",
        )
    path, name = job.folder / "results" / job.results[key], f"{key}.{kind}"
    if kind == "nii.gz":
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_compressed(path), media_type="application/gzip", headers=headers)
    if kind == "nrrd":
        path = _converted(path, ".nrrd")
    return VolumeFile(path, media_type="application/octet-stream", filename=name)


def report_response(job: Job) -> Response:
    """The report of a job that is done, or whose input was refused.

    Raises:
        NotReadyError: when there is none.
    """
    path = job.folder / "results" / REPORT
    if job.state != "failed" or not path.is_file():
        _require_done(job)
    return FileResponse(path, media_type="application/json")


def _require_done(job: Job) -> None:
    if job.state != "done":
        raise NotReadyError(
            "The job has no result",
            expected="a job that is done",
            got=f"a job that is {job.state}",
            action="wait until its state is done" if not job.final else "submit it again",
        )


def _compressed(path: Path) -> Iterator[bytes]:
    """The file as a gzip stream."""
    packer = zlib.compressobj(level=1, wbits=31)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield packer.compress(block)
    yield packer.flush()


def _converted(path: Path, suffix: str) -> Path:
    """The volume in another format, beside the first; made once."""
    wanted = path.with_suffix(suffix)
    if not wanted.exists():
        half = path.with_name(f".{uuid.uuid4().hex}{suffix}")
        io.write(io.read(path), half)
        os.replace(half, wanted)
    return wanted
