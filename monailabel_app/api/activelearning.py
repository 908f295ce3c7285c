"""The image to label next, at MONAI Label's address; what a model must see first is a job."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from monailabel.interfaces.exception import ImageNotFoundException
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import CancelledError, UsageError
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
    """Have the model look at what it has not seen.

    A ranking of the same model that is under way will do. The store may change while one runs, and one that
    was joined may have other images: what was asked for and not looked at is then ranked, or what there is
    when nothing else is left to choose from.
    """
    work = await run_in_threadpool(_unseen, task, asked, service)
    if work is None:
        return
    looked = await _looked(task, asked, work, request, service, client)
    left = await run_in_threadpool(_unseen, task, asked, service)
    if left is None or set(left.images) <= looked:
        return
    if set(left.images) & set(work.images) - looked or not await run_in_threadpool(
        task.has_seen, asked, service.app.datastore()
    ):
        await _looked(task, asked, left, request, service, client)


async def _looked(
    task: Ranked, asked: dict[str, Any], work: Ranking, request: Request, service: Service, client: Client
) -> set[str]:
    """Have a ranking done, or join one; begin anew when somebody cancels one that was only joined.

    Returns:
        The images that were looked at.
    """
    left: Ranking | None = work
    while left is not None:
        job_id, folder = service.place()
        own = Job(id=job_id, work=left, folder=folder, client=client.identity)
        job = await run_in_threadpool(service.submit, own, instead=partial(_same, work=left))
        try:
            job = await finished(service.queue, request, job.id)
            return {study.image for study in job.studies}
        except CancelledError:
            if job.id == job_id or await request.is_disconnected():
                raise
        left = await run_in_threadpool(_unseen, task, asked, service)
    return set()


def _unseen(task: Ranked, asked: dict[str, Any], service: Service) -> Ranking | None:
    """What the model must look at yet, after what stopped rankings saw was noted."""
    _keep_what_was_seen(service)
    return task.unseen(asked, service.app.datastore())


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
