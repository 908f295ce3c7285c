"""Sending results: volumes in large blocks, converted or compressed only when that is asked for."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Protocol

from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from medgan_core import io
from medgan_core.errors import UsageError
from monailabel_app.api.uploads import SUFFIXES
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import REPORT, place_of
from monailabel_app.problems import NotFoundError, NotReadyError

Kind = Literal["nii", "nii.gz", "nrrd"]
Encoding = Literal["identity", "gzip", "zstd"]
_BLOCK = 4 << 20


class Packer(Protocol):
    """Compresses a stream."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a block in; what is ready comes out."""

    def flush(self) -> bytes:
        """The rest."""


class VolumeFile(FileResponse):
    """A file sent in blocks that suit volumes."""

    chunk_size = _BLOCK


def volume_response(job: Job, key: str, kind: Kind, encoding: Encoding) -> Response:
    """One result of a job; of a batch also before the other studies are done.

    Args:
        job: has the result.
        key: of the output.
        kind: of the file.
        encoding: how it travels; the client's HTTP library undoes it. It is not taken from Accept-Encoding,
            which such libraries send unasked: on a fast network compression costs more than it saves.

    Raises:
        NotReadyError: when the job is not done.
        NotFoundError: when it has no such output.
        UsageError: when this server cannot encode so.
    """
    if key not in job.results:
        _require_done(job)
        raise NotFoundError(
            "The job has no such result",
            expected="one of " + ", ".join(job.results),
            got=key[:64],
            action="choose one of them",
        )
    path, name = job.folder / "results" / job.results[key], f"{key.replace('/', '-')}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    stored = next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))
    if (stored, kind) == (".nii", "nii.gz"):
        return StreamingResponse(_packed(path, _gzip()), media_type="application/gzip", headers=headers)
    packer = None if encoding == "identity" else _PACKERS[encoding]()
    clean = None
    if stored != f".{kind}":
        path = _converted(path, f".{kind}")
        clean = BackgroundTask(path.unlink, missing_ok=True)
    if packer is None:
        return VolumeFile(path, media_type="application/octet-stream", filename=name, background=clean)
    headers["Content-Encoding"] = encoding
    body = _packed(path, packer)
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers, background=clean)


def report_response(job: Job, study: str = "") -> Response:
    """The report of a job that is done, or whose input was refused.

    Args:
        job: has the report.
        study: id of an image of a batch; empty for the job's own.

    Raises:
        NotReadyError: when there is none.
        NotFoundError: when the job has no such study.
    """
    path = job.folder / "results" / (_place(job, study) if study else "") / REPORT
    if not path.is_file():
        _require_done(job)
        raise NotReadyError("There is no report", expected="a job or study that left one", got="none")
    return FileResponse(path, media_type="application/json")


def _place(job: Job, image: str) -> str:
    """The folder of a study's results."""
    for number, study in enumerate(job.studies):
        if study.image == image:
            return place_of(number)
    raise NotFoundError(
        "The job has no such study",
        expected="the image of one of its studies",
        got=image[:64],
        action="choose one of those that GET /jobs/{id} lists",
    )


def _require_done(job: Job) -> None:
    if job.state != "done":
        raise NotReadyError(
            "The job has no result",
            expected="a job that is done",
            got=f"a job that is {job.state}",
            action="wait until its state is done" if not job.final else "submit it again",
        )


def _gzip() -> Packer:
    return zlib.compressobj(level=1, wbits=31)


def _zstd() -> Packer:
    try:
        import zstandard  # an optional dependency
    except ImportError as error:
        raise UsageError(
            "This server cannot encode with zstd",
            expected="gzip or identity",
            got="zstd",
            action="ask for gzip, or have the Python package zstandard installed beside the server",
        ) from error
    packer: Packer = zstandard.ZstdCompressor(level=1).compressobj()
    return packer


_PACKERS: dict[Encoding, Callable[[], Packer]] = {"gzip": _gzip, "zstd": _zstd}


def _packed(path: Path, packer: Packer) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield packer.compress(block)
    yield packer.flush()


def _converted(path: Path, suffix: str) -> Path:
    """The volume in another format, in a file beside the first."""
    return io.write(io.read(path), path.with_name(f".{uuid.uuid4().hex}{suffix}"))
