"""``POST /jobs/{id}/store``: results of a job into the PACS that its inputs came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.dicom.datastore import PacsDatastore
from monailabel_app.dicom.errors import NotFromPacsError
from monailabel_app.dicom.storing import store_results
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.work import place_of
from monailabel_app.problems import NotFoundError, NotReadyError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["PACS"], responses=PROBLEMS)


class StoreRequest(BaseModel):
    """Which results to store."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    results: list[str] | None = Field(
        None, min_length=1, description="keys of results (of a batch 001/KEY); all when left out"
    )


_ALL = StoreRequest(results=None)


class StoredSeries(BaseModel):
    """One result as it lies in the PACS now."""

    key: str
    study: str = Field(description="Study Instance UID, that of the source")
    series: str = Field(description="Series Instance UID of the new series")
    modality: str = Field(description="MR, CT, SEG or OT (a parametric map)")
    instances: int


class StoreAnswer(BaseModel):
    """Every result that was stored."""

    stored: list[StoredSeries]


@router.post("/{job_id}/store", response_model=StoreAnswer, summary="Store results in the PACS")
def store(
    job_id: str,
    service: Annotated[Service, Depends(service_of)],
    request: Annotated[StoreRequest, Body()] = _ALL,
) -> dict[str, Any]:
    """Write results back beside the series they were made from; again is safe, it makes no copies.

    Named results of a batch can be stored as soon as their study is done.
    """
    job = service.queue.get(job_id)
    keys = list(job.results) if request.results is None else request.results
    unknown = [key for key in keys if key not in job.results]
    if job.state != "done" and (unknown or request.results is None):
        raise NotReadyError(
            "The job has no result",
            expected="a job that is done",
            got=f"a job that is {job.state}",
            action="wait until its state is done" if not job.final else "submit it again",
        )
    if unknown:
        raise NotFoundError(
            "The job has no such result",
            expected="one of " + ", ".join(job.results)[:200],
            got=", ".join(unknown)[:200],
            action="choose of them",
        )
    datastore = service.app.datastore()
    if not isinstance(datastore, PacsDatastore):
        raise NotFromPacsError(
            "The server works on a folder, not on a PACS",
            expected="a server started with --studies http(s)://.../dicom-web",
            got="a studies folder",
            action="download the results instead",
        )
    card, stored = service.card(job.work.model), []
    for made in _made(job, keys):
        found = store_results(datastore, card, made.inputs, made.folder, made.files, run=made.run)
        stored += [{**asdict(one), "key": f"{made.prefix}{one.key}"} for one in found]
    return {"stored": stored}


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What one run of a model made, alone or as a part of a batch.

    Args:
        inputs: the volumes it was given.
        folder: with its results and report.
        files: name in the folder by key of the output.
        run: a word that no other run has.
        prefix: of its keys among the job's.
    """

    inputs: list[Path]
    folder: Path
    files: dict[str, str]
    run: str
    prefix: str = ""


def _made(job: Job, keys: Sequence[str]) -> Iterator[_Made]:
    """The runs of a job that made results of these keys, with those."""
    work, folder = job.work, job.folder / "results"
    if isinstance(work, Run):
        inputs = [Path(path) for path in work.inputs.values()]
        yield _Made(inputs=inputs, folder=folder, files={key: job.results[key] for key in keys}, run=job.id)
    elif isinstance(work, Batch):
        for number, study in enumerate(job.studies):
            prefix = f"{place_of(number)}/"
            files = {
                key.removeprefix(prefix): study.results[key].removeprefix(prefix)
                for key in keys
                if key in study.results
            }
            if files:
                yield _Made(
                    inputs=[Path(work.images[study.image])],
                    folder=folder / place_of(number),
                    files=files,
                    run=f"{job.id}/{place_of(number)}",
                    prefix=prefix,
                )
    else:
        raise NotFromPacsError(
            "Only results of a model can be stored in the PACS",
            expected="a run or a batch",
            got=f"a job of the kind {work.kind}",
            action="store the results of a run or a batch",
        )
