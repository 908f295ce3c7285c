"""A job's files as bytes, for a worker that shares no disk with the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medgan_core.errors import ResourceError
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.run import Run
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
    if isinstance(work, Run):
        places = {key: f"{key}/{Path(path).name}" for key, path in work.inputs.items()}
        files = [(places[key], Path(path)) for key, path in work.inputs.items()]
        return Order(replace(work, inputs=places), _parcel(files))
    if isinstance(work, Batch):
        places = {
            image: f"{number}/{Path(path).name}" for number, (image, path) in enumerate(work.images.items())
        }
        files = [(places[image], Path(path)) for image, path in work.images.items()]
        return Order(replace(work, images=places), _parcel(files))
    raise ResourceError(
        f"A job of the kind {work.kind!r} cannot be done by a cluster",
        expected="a run or a batch",
        got=work.kind,
        action="serve with --executor process; torchrun trains on the machine that has the data",
    )


def unfold(order: Order, folder: Path) -> Work:
    """Put an order's inputs into a folder; the work then names them there."""
    unpack(order.inputs, folder)
    work = order.work
    if isinstance(work, Run):
        return replace(work, inputs={key: str(folder / place) for key, place in work.inputs.items()})
    if isinstance(work, Batch):
        return replace(work, images={image: str(folder / place) for image, place in work.images.items()})
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


def _parcel(places: list[tuple[str, Path]]) -> Parcel:
    """Files and (DICOM) folders by the place where each shall lie."""
    files: dict[str, bytes] = {}
    for place, path in places:
        if path.is_dir():
            files |= {f"{place}/{name}": content for name, content in parcel_of(path).files.items()}
        else:
            files[place] = path.read_bytes()
    return Parcel(files)
