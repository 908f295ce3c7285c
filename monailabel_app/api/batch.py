"""MONAI Label's ``/batch/infer`` through the queue: one job over many stored images."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from starlette.concurrency import run_in_threadpool

from medgan_core.errors import UsageError
from monailabel_app.access import Client, client_of
from monailabel_app.api.datastore import TAG
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.stock_tasks import StockTasks, Task
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.service import Service, service_of
from monailabel_app.stock import read_request
from monailabel_app.studies import stamp

router = APIRouter(prefix="/batch", tags=["Infer"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]


@router.get("/infer", response_model=Task | list[Task], summary="State of the last batch")
async def status(service: Served, all: bool = False, check_if_running: bool = False) -> Task | list[Task]:
    """The last batch, or all of them; 404 when there is none."""
    return StockTasks(service, "batch").status(all=all, running=check_if_running)


@router.post("/infer/{model}", response_model=Task, summary="Run a model over stored images")
async def run(
    model: str,
    service: Served,
    client: Asker,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: bool = False,
) -> Task:
    """Queue a batch; the task's id is a job's, which tells of every study. It makes way between studies."""
    job_id, folder = service.place()
    work = await run_in_threadpool(_work, service, model, images, params or {})
    job = Job(id=job_id, work=work, folder=folder, client=client.identity)
    return await StockTasks(service, "batch").submit(job, wait=run_sync, enqueue=True)


@router.delete("/infer", response_model=Task | None, summary="Stop the running batch")
def stop(service: Served) -> Task | None:
    """Cancel the batch that runs; nothing happens when none does."""
    return StockTasks(service, "batch").stop()


def _work(service: Service, model: str, images: BatchInferImageType, params: dict[str, Any]) -> Batch:
    """The batch that was asked for: each image is checked as ``/infer`` would, with the same parameters.

    Args:
        service: has cards and datastore.
        model: name of the model.
        images: which images of the datastore; ``params["images"]`` may list ids instead.
        params: of each run, and ``label_tag``, ``save_label``, ``max_batch_size``.
    """
    card, datastore = service.card(model), service.app.datastore()
    tag = _tag(params) if params.get("save_label", True) else ""
    chosen = params.get("images")
    if chosen is None:
        listing = {
            BatchInferImageType.IMAGES_ALL: datastore.list_images,
            BatchInferImageType.IMAGES_LABELED: lambda: datastore.get_labeled_images(tag or None),
            BatchInferImageType.IMAGES_UNLABELED: lambda: datastore.get_unlabeled_images(tag or None),
        }
        chosen = sorted(listing[images]())
    if not isinstance(chosen, list) or not all(isinstance(image, str) for image in chosen):
        raise _wrong("images", "a list of image ids", chosen)
    most = params.get("max_batch_size") or len(chosen)
    if not isinstance(most, int) or most < 0:
        raise _wrong("max_batch_size", "a whole number >= 0", most)
    paths = {image: service.stored(image) for image in chosen[:most]}
    if not paths:
        raise _wrong("images", "at least one image", "none")
    one = read_request(card, params, next(iter(paths.values())), service.stored).work
    if len(one.inputs) != 1:
        raise _wrong("inputs", "nothing: every study of a batch has one image", ", ".join(one.inputs))
    return Batch(
        model=model,
        settings=one.settings,
        images={image: str(path) for image, path in paths.items()},
        stamps={image: stamp(path) for image, path in paths.items()},
        input=next(iter(one.inputs)),
        target=one.target,
        seed=one.seed,
        suffix=one.suffix,
        tag=tag,
    )


def _tag(params: dict[str, Any]) -> str:
    """What the results are kept under; "" for nothing. A person's corrected label is never replaced."""
    tag = params.get("label_tag", DefaultLabelTag.ORIGINAL.value)
    if not isinstance(tag, str) or (tag and not TAG.fullmatch(tag)):
        raise _wrong("label_tag", "letters, digits and plain signs, at most 64 of them", tag)
    # On some disks the folders "Final" and "final." are that of "final".
    if tag.rstrip(" .").lower() == DefaultLabelTag.FINAL:
        raise _wrong("label_tag", "another tag: labels under 'final' are people's, and stay", tag)
    return tag


def _wrong(key: str, expected: str, got: object) -> UsageError:
    return UsageError(
        f"The parameter {key!r} is not valid",
        expected=expected,
        got=repr(got)[:200],
        action="correct the parameter",
    )
