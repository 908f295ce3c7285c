"""MONAI Label's ``/train`` through the queue: a model is tuned, or a recipe trained from nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from medgan_core.card import ModelCard
from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, publishing, train
from medgan_core.training.cohort import Cohort
from medgan_core.training.tuning import recipe_of
from monailabel_app.access import Client, client_of
from monailabel_app.api.schemas import PROBLEMS
from monailabel_app.api.stock_tasks import StockTasks, Task
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.training import Training
from monailabel_app.jobs.tuning import Tuning
from monailabel_app.label_grid import ONE_OPEN
from monailabel_app.problems import UnknownModelError
from monailabel_app.service import Service, service_of

router = APIRouter(prefix="/train", tags=["Train"], responses=PROBLEMS)
Served = Annotated[Service, Depends(service_of)]
Asker = Annotated[Client, Depends(client_of)]


class TrainingRequest(BaseModel):
    """What a training may be told; what else stock clients send is ignored."""

    model_config = ConfigDict(frozen=True)

    settings: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="settings of the recipe, as `medgan train --set` takes them"
    )
    data: str = Field(
        "", description="a folder below the studies folder; the studies folder itself by default"
    )
    default: bool = Field(False, description="use the tuned version from now on even when it is not better")
    fresh: bool = Field(False, description="train the recipe of this name, though there is a model of it")
    max_minutes: float | None = Field(
        None, gt=0, description="of a recipe trained from nothing: stop, resumable, after so long"
    )


@router.get("/", response_model=Task | list[Task], summary="State of the last training")
async def status(service: Served, all: bool = False, check_if_running: bool = False) -> Task | list[Task]:
    """The last training, or all of them; 404 when there is none."""
    return _tasks(service).status(all=all, running=check_if_running)


@router.post("/{model}", response_model=Task, summary="Tune a model, or train a recipe")
async def run(
    model: str,
    service: Served,
    client: Asker,
    params: Annotated[dict[str, Any] | None, Body()] = None,
    run_sync: bool = False,
    enqueue: bool = False,
) -> Task:
    """Queue a training; the task's id is a job's, with progress and cancel. Another one waits its turn."""
    job_id, folder = service.place()
    work = await run_in_threadpool(_work, service, model, params or {}, folder / "run")
    return await _tasks(service).submit(
        Job(id=job_id, work=work, folder=folder, client=client.identity), wait=run_sync, enqueue=enqueue
    )


@router.delete("/", response_model=Task | None, summary="Stop the running training")
def stop(service: Served) -> Task | None:
    """Cancel the training that runs; nothing happens when none does."""
    return _tasks(service).stop()


def _tasks(service: Service) -> StockTasks:
    return StockTasks(service, "train", "tune")


def _work(service: Service, name: str, params: dict[str, Any], out: Path) -> Training | Tuning:
    """What was asked for, after all that can be checked before its turn comes was checked."""
    asked = _read(params)
    if name in service.registry.names() and not asked.fresh:
        return _tuning(service, service.card(name), asked, out)
    if name not in RECIPES:
        raise UnknownModelError(
            f"There is no model and no recipe called {name[:64]!r}",
            expected="a model of GET /models, or a recipe: " + ", ".join(RECIPES),
            got=name[:64],
            action="choose one of them",
        )
    data = _data(service, asked.data)
    train(name, data=data, out=out, settings=_texts(asked.settings), dry_run=True, preset="cpu")
    return Training(
        model=name,
        settings=_texts(asked.settings),
        data=str(data),
        out=str(out),
        max_minutes=asked.max_minutes,
    )


def _tuning(service: Service, card: ModelCard, asked: TrainingRequest, out: Path) -> Tuning:
    if asked.max_minutes is not None:
        raise UsageError(
            "The tuning of a model has no limit of time",
            expected="the setting updates, which says how long it trains",
            got=f"max_minutes {asked.max_minutes}",
            action="leave max_minutes out",
        )
    settings = _texts(asked.settings)
    recipe_of(card, settings, gpu=False)
    publishing.check(card.name, models=service.options.models[-1])
    data, base = _data(service, asked.data), Path(service.options.studies).resolve()
    cohort = Cohort.of(data, card, _finals(service) if data == base else None, opening=ONE_OPEN)
    outside = [path for path in cohort.files if not path.resolve().is_relative_to(base)]
    if outside:
        raise UsageError(
            "The manifest names files outside of the studies folder",
            expected="files in the studies folder",
            got=f"{len(outside)} elsewhere",
            action="move them into the studies folder, and correct the manifest",
        )
    return Tuning(
        model=card.name,
        settings=settings,
        cohort=cohort.to_list(),
        out=str(out),
        default=asked.default,
        left_out=cohort.left_out,
    )


def _finals(service: Service) -> dict[str, Path]:
    """The final labels that the store lists, by their images' ids."""
    store = service.app.datastore()
    return {image: Path(store.get_label_uri(image, "final")) for image in store.get_labeled_images()}


def _read(params: dict[str, Any]) -> TrainingRequest:
    try:
        return TrainingRequest.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise UsageError(
            f"The request is not valid at {'.'.join(map(str, first['loc']))!r}",
            expected=first["msg"],
            got=repr(first.get("input"))[:200],
            action="correct the JSON; docs/rest.md lists its fields",
        ) from error


def _texts(settings: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in settings.items()}


def _data(service: Service, name: str) -> Path:
    """The data set's folder: the studies folder or one below it, by a plain relative name."""
    base = service.studies
    if base is not None and re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_. -]*(/|$))*", name):
        folder = (base / name).resolve()
        if folder.is_relative_to(base) and folder.is_dir():
            return folder
    raise UsageError(
        "The training's data set cannot be used",
        expected="a folder below the studies folder, with manifest.csv or in BIDS layout",
        got="a DICOMweb server" if base is None else name[:200],
        action="put the data set into the studies folder of the server",
    )
