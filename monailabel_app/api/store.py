"""``POST /jobs/{id}/store``: results of a job into the PACS that its inputs came from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.dicom.datastore import PacsDatastore
from monailabel_app.dicom.errors import NotFromPacsError
from monailabel_app.dicom.storing import store_results
from monailabel_app.jobs.run import Run
from monailabel_app.problems import NotFoundError, NotReadyError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/jobs", tags=["PACS"], responses=PROBLEMS)


class StoreRequest(BaseModel):
    """Which results to store."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    results: list[str] | None = Field(None, min_length=1, description="keys of results; all when left out")


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
    """Write results back beside the series they were made from; again is safe, it makes no copies."""
    job = service.queue.get(job_id)
    if job.state != "done":
        raise NotReadyError(
            "The job has no result",
            expected="a job that is done",
            got=f"a job that is {job.state}",
            action="wait until its state is done" if not job.final else "submit it again",
        )
    if not isinstance(job.work, Run):
        raise NotFromPacsError(
            "Only runs of a model can be stored in the PACS",
            expected="a job submitted with POST /jobs",
            got="a batch or a training",
            action="submit the series one by one",
        )
    keys = list(job.results) if request.results is None else request.results
    if unknown := [key for key in keys if key not in job.results]:
        raise NotFoundError(
            "The job has no such result",
            expected="one of " + ", ".join(job.results),
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
    stored = store_results(
        datastore,
        service.card(job.work.model),
        [Path(path) for path in job.work.inputs.values()],
        job.folder / "results",
        {key: job.results[key] for key in keys},
        run=job.id,
    )
    return {"stored": [asdict(one) for one in stored]}
