"""A job's files as bytes, for a worker that shares no disk with the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medgan_core.errors import ResourceError
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Work


@dataclass(frozen=True)
class Parcel:
    """Files: bytes by a path relative to a folder, with ``/`` between its parts."""

    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Order:
    """Work with the files it reads; their paths in it are relative to where the parcel is unpacked."""

    work: Work
    inputs: Parcel


def pack(job: Job) -> Order:
    """The job's work with its inputs.

    Raises:
        ResourceError: when it is of a kind that needs the server's disk.
    """
    work = job.work
    files: dict[str, Path] = {}
    if work.reads is None:
        raise ResourceError(
            f"A job of the kind {work.kind!r} cannot be done by a cluster",
            expected="work on single volumes: a run, a batch, a scoring or a ranking",
            got=work.kind,
            action="serve with --executor process; torchrun trains on the machine that has the data",
        )
    for field in work.reads:
        paths = [Path(path) for path in getattr(work, field).values()]
        places = [f"{field}/{number}/{path.name}" for number, path in enumerate(paths)]
        files |= dict(zip(places, paths, strict=True))
        work = _with_paths(work, field, places)
    return Order(work, _parcel(files))


def unfold(order: Order, folder: Path) -> Work:
    """Put an order's inputs into a folder; the work then names them there."""
    unpack(order.inputs, folder)
    work = order.work
    for field in work.reads or ():
        work = _with_paths(work, field, [str(folder / place) for place in getattr(work, field).values()])
    return work


def parcel_of(folder: Path) -> Parcel:
    """Every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Parcel({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


def unpack(parcel: Parcel, folder: Path) -> None:
    """Write the files into a folder, which is made."""
    for name, content in parcel.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _with_paths(work: Work, field: str, paths: Sequence[str]) -> Work:
    """The work with other paths under the same keys of a field."""
    changed: dict[str, Any] = {field: dict(zip(getattr(work, field), paths, strict=True))}
    return replace(work, **changed)


def _parcel(places: Mapping[str, Path]) -> Parcel:
    """Files and (DICOM) folders by the place where each shall lie."""
    files: dict[str, bytes] = {}
    for place, path in places.items():
        if path.is_dir():
            files |= {f"{place}/{name}": content for name, content in parcel_of(path).files.items()}
        else:
            files[place] = path.read_bytes()
    return Parcel(files)
