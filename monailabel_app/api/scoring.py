"""MONAI Label's scoring through the queue: checks of the labels in the datastore."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.access import Client, client_of
from monailabel_app.api.jobs import done
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.stock_tasks import StockTasks, Task
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.labels import METHODS
from monailabel_app.problems import NotFoundError
from monailabel_app.scoring import read_scores, scoring_work
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/scoring", tags=["Scoring"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]
Params = Annotated[dict[str, Any] | None, Body()]


@router.get("/", response_model=Task | list[Task], summary="State of the last scoring")
async def status(service: Served, all: bool = False, check_if_running: bool = False) -> Task | list[Task]:
    """The last scoring, or all of them; 404 when there is none."""
    return StockTasks(service, "scoring").status(all=all, running=check_if_running)


@router.post("/", include_in_schema=False)
async def run_all(
    service: Served, client: Asker, params: Params = None, run_sync: bool = False
) -> dict[str, Any]:
    """Every method, each with its own parameters; MONAI Label keeps this for older clients."""
    own = {method: _own(params or {}, method) for method in METHODS}
    return {
        method: {"result": await run(method, service, client, own[method], run_sync), "detail": None}
        for method in METHODS
    }


@router.post("/{method}", response_model=Task | dict[str, Any], summary="Run a scoring method")
async def run(
    method: str, service: Served, client: Asker, params: Params = None, run_sync: bool = False
) -> Task | dict[str, Any]:
    """Score the labels of the datastore; the scores by image, or (without `run_sync`) a task to follow."""
    if method not in METHODS:
        raise NotFoundError(
            "There is no such scoring method",
            expected="one of " + ", ".join(METHODS),
            got=method[:64],
            action="choose one that GET /info/ lists",
        )
    job_id, folder = service.place()
    store = service.app.datastore()
    registry = service.app.registry
    work = await run_in_threadpool(scoring_work, store, service.stored, registry, method, params or {})
    job = Job(id=job_id, work=work, folder=folder, client=client.identity)
    task = await StockTasks(service, "scoring").submit(job, wait=run_sync, enqueue=True)
    if not run_sync:
        return task
    job = done(service.queue.get(job_id))
    return await run_in_threadpool(read_scores, job.folder / "results")


@router.delete("/", response_model=Task | None, summary="Stop the running scoring")
def stop(service: Served) -> Task | None:
    """Cancel the scoring that runs; nothing happens when none does."""
    return StockTasks(service, "scoring").stop()


def _own(params: dict[str, Any], method: str) -> dict[str, Any]:
    """The parameters of one method among those of all."""
    own = params[method] if params.get(method) is not None else {}
    if not isinstance(own, dict):
        raise UsageError(
            f"The parameter {method!r} is not valid",
            expected="an object, the parameters of this method",
            got=repr(own)[:200],
            action="correct the parameter",
        )
    return own
