"""The image to label next, at MONAI Label's address; what a model must see first is a job."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from monailabel.interfaces.exception import ImageNotFoundException
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.access import Client, client_of
from monailabel_app.api.jobs import finished
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ranking import Ranking
from monailabel_app.service import Service, service_of
from monailabel_app.strategies import Ranked, note

router = APIRouter(prefix="/activelearning", tags=["ActiveLearning"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]


@router.post("/{strategy}", summary="The image to label next")
async def next_image(
    strategy: str,
    request: Request,
    service: Served,
    client: Asker,
    params: Annotated[dict[str, Any] | None, Body()] = None,
) -> dict[str, Any]:
    """The chosen image's id and what is noted about it; an empty object when every image has a label."""
    known = service.app.strategies
    if strategy not in known:
        raise UsageError(
            "There is no such strategy",
            expected="one of " + ", ".join(known),
            got=ascii(strategy)[:64],
            action="choose one of them",
        )
    task, asked = known[strategy], {**(params or {}), "strategy": strategy}
    if isinstance(task, Ranked):
        await _seen(task, asked, request, service, client)
    return await run_in_threadpool(_chosen, task, asked, service.app.datastore(), client.name)


async def _seen(
    task: Ranked, asked: dict[str, Any], request: Request, service: Service, client: Client
) -> None:
    """Have the model look at what it has not seen; a ranking of the same model that is under way will do."""
    await run_in_threadpool(_keep_what_was_seen, service)
    work = await run_in_threadpool(task.unseen, asked, service.app.datastore())
    if work is None:
        return
    job_id, folder = service.place()
    job = Job(id=job_id, work=work, folder=folder, client=client.identity)
    job = await run_in_threadpool(service.submit, job, instead=lambda other: _same(other, work))
    await finished(service.queue, request, job.id)


def _same(job: Job, work: Ranking) -> bool:
    other = job.work
    return isinstance(other, Ranking) and (other.model, other.sha256) == (work.model, work.sha256)


def _keep_what_was_seen(service: Service) -> None:
    """Note what rankings saw that did not come to their end; the others are noted when they do."""
    for job in service.queue.jobs():
        if isinstance(job.work, Ranking) and job.final and job.state != "done":
            note(service.app.datastore(), job)


def _chosen(task: Any, asked: dict[str, Any], datastore: Any, user: str) -> dict[str, Any]:
    """The choice of a strategy that need not wait, noted as given out."""
    chosen = task.choose(asked, datastore) if isinstance(task, Ranked) else task(asked, datastore)
    if not chosen:
        return {}
    info = datastore.get_image_info(chosen["id"])
    given = {"ts": int(time.time()), "client_id": asked.get("client_id", user)}
    noted = {**info.get("strategy", {}), asked["strategy"]: given}
    with suppress(ImageNotFoundException):  # removed meanwhile, or a series that is in the PACS alone
        datastore.update_image_info(chosen["id"], {"strategy": noted})
    info.pop("path", None)  # of folders a client learns nothing
    return {**info, "strategy": noted, **chosen}
