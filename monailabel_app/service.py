"""What the addresses of the server work with: models, queue, datastore and the private folder."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import Request
from monailabel.interfaces.exception import ImageNotFoundException

from medgan_core.card import ModelCard
from medgan_core.errors import MedganError, UsageError
from medgan_core.registry import Registry, user_folder
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.executor import Executor, ProcessExecutor
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.ranking import Ranking
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.run import Run, checked
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import Results, Study, Work
from monailabel_app.jobs.worker import Setup
from monailabel_app.problems import UnknownImageError, UnknownModelError, foreseen, problem
from monailabel_app.scoring import note_scores, read_scores
from monailabel_app.strategies import note
from monailabel_app.studies import image_path, stamp
from monailabel_app.study_folder import StudyFolder

logger = logging.getLogger(__name__)


def data_folder() -> Path:
    """Where a server keeps its jobs unless it is told otherwise: beside the user's models."""
    return user_folder().parent / "server"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a server is set up.

    Args:
        studies: folder of MONAI Label's datastore, or the address of a DICOMweb server.
        folder: of the server's own data (jobs with their files, logs); one server at a time uses it.
        models: the registry's folders.
        devices: one worker for each.
        ray: address of a Ray cluster whose workers do the jobs, as many as devices; None for processes here.
        model_memory: bytes that a worker's loaded models may take; None for a share of the device's.
        upload_limit: largest uploaded file in bytes.
        queue_limit: how many jobs of one client may wait.
        retention: how long finished jobs are kept, and how much room all may take.
    """

    studies: str
    folder: Path = field(default_factory=data_folder)
    models: tuple[Path, ...] = field(default_factory=lambda: Registry().folders)
    devices: tuple[str, ...] = ("auto",)
    ray: str | None = None
    model_memory: int | None = None
    upload_limit: int = 2 << 30
    queue_limit: int = 64
    retention: Retention = field(default_factory=Retention)


class Service:
    """Everything a request needs; made before the server starts, closed after it.

    Args:
        options: how the server is set up.

    Raises:
        ResourceError: when the folder of its data cannot be used, or another server uses it.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.registry = Registry(options.models)
        # Readable by this user alone; uploads and results of patients lie in it.
        self.private = options.folder
        self.queue = JobQueue(
            Store(self.private),
            _executors(options),
            limit=options.queue_limit,
            retention=options.retention,
            deliver=self._deliver,
        )
        self.app: Any = None

    def start(self, app: Any) -> None:
        """Start the workers, and remember MONAI Label's app for its datastore and sessions."""
        self.app = app
        # What a server that was killed was receiving.
        shutil.rmtree(self.private / "received", ignore_errors=True)
        self.queue.start()

    def close(self) -> None:
        """End the workers; jobs stay for the next server. Safe to call twice."""
        self.queue.stop()

    @property
    def log(self) -> Path:
        """The server's log; MONAI Label expects it in a folder of the app's."""
        return self.private / "app" / "logs" / "app.log"

    @property
    def studies(self) -> Path | None:
        """The folder of studies; None when they come from a PACS."""
        studies = self.options.studies
        return None if studies.startswith(("http://", "https://")) else Path(studies).resolve()

    def card(self, name: str) -> ModelCard:
        """The model's card.

        Raises:
            UnknownModelError: when there is no such model.
            ModelError: when its card is damaged.
        """
        try:
            if len(name) > 128 or not name.isprintable():
                raise UsageError("There is no such model", expected="a model's name", got=ascii(name[:64]))
            return self.registry.card(name)
        except UsageError as error:
            raise UnknownModelError(
                error.what, expected=error.expected, got=error.got, action=error.action
            ) from error

    def cards(self) -> tuple[list[ModelCard], list[MedganError]]:
        """Cards of the models a person can run, and what is wrong with those that cannot be read."""
        cards, errors = [], []
        for name in self.registry.names():
            try:
                card = self.registry.card(name)
            except MedganError as error:
                errors.append(error)
                continue
            if card.task != "gate":  # Gates check the inputs of other models; nobody runs one.
                cards.append(card)
        return cards, errors

    def stored(self, image_id: str) -> Path:
        """Where an image of the datastore lies; `UnknownImageError` when it does not."""
        return image_path(self.app.datastore(), self.options.studies, image_id)

    def place(self) -> tuple[str, Path]:
        """Id and folder of a new job; nothing is made yet."""
        job_id = uuid.uuid4().hex
        return job_id, self.private / "jobs" / job_id

    def submit(self, job: Job, *, instead: Callable[[Job], bool] = lambda other: False) -> Job:
        """Queue a job, after a run was checked against the model's card.

        Args:
            job: the new one.
            instead: see `JobQueue.submit`.

        Returns:
            The job as queued; an earlier one when it was submitted before under the same key, or will do.

        Raises:
            UsageError: when a run does not fit the card.
            UnknownModelError: when there is no such model.
            KeyReusedError: when the client submitted another request under the same key.
            BusyError: when too many of the client's jobs are waiting.
            StorageFullError: when its files do not fit.
        """
        if isinstance(job.work, Run):
            job = replace(job, work=checked(self.card(job.work.model), job.work))
        return self.queue.submit(job, instead=instead)

    def _deliver(self, job: Job, results: Results) -> None:
        """Keep scores, what a ranking saw, and a batch's results as labels if asked for, in the datastore."""
        work: Work = job.work
        if isinstance(work, Ranking):
            note(self.app.datastore(), self.queue.get(job.id))
        if isinstance(work, Scoring):
            note_scores(self.app.datastore(), work, read_scores(job.folder / "results"))
        if isinstance(work, Batch) and work.tag:
            studies = self.queue.get(job.id).studies
            self.queue.mark(job.id, [self._labelled(job, work, study) for study in studies])

    def _labelled(self, job: Job, work: Batch, study: Study) -> Study:
        """A study after its result was kept as a label; failed when that cannot be, as its image is gone."""
        key = next((key for key in study.results if not key.endswith("/trust")), None)
        if key is None:
            return study
        path, datastore = job.folder / "results" / study.results[key], self.app.datastore()
        about = {"model": work.model, "verdict": study.verdict, "synthetic": True}
        try:
            if _replaced(datastore, work, study.image):
                return replace(study, state="failed", error=problem(_gone("replaced", study.image)))
            datastore.save_label(study.image, str(path), work.tag, about)
        except ImageNotFoundException:
            return replace(study, state="failed", error=problem(_gone("removed", study.image)))
        except Exception as error:
            logger.exception("job %s: the label of a study", job.id)
            return replace(study, state="failed", error=problem(foreseen(error)))
        return study


def _replaced(datastore: Any, work: Batch, image: str) -> bool:
    """Whether another image lies under the id than when the batch was asked for; False when none does."""
    # Not the PACS's own, which would fetch.
    path = StudyFolder.get_image_uri(datastore, image)
    return bool(path) and image in work.stamps and stamp(Path(path)) != work.stamps[image]


def _gone(how: str, image: str) -> UnknownImageError:
    return UnknownImageError(
        f"The image was {how} before its label could be kept",
        expected="the image of the store that the batch was asked for",
        got=image,
        action="fetch the result from the job, if it is still wanted; run the batch again on a new image",
    )


def _executors(options: Options) -> list[Executor]:
    """One for each device."""
    setups = [
        Setup(device=device, models=options.models, model_memory=options.model_memory)
        for device in options.devices
    ]
    if options.ray is None:
        return [ProcessExecutor(setup) for setup in setups]
    from monailabel_app.jobs.ray_executor import RayExecutor  # an optional dependency

    return [RayExecutor(setup, address=options.ray) for setup in setups]


def service_of(request: Request) -> Service:
    """The service of the app that a request came to (a FastAPI dependency)."""
    service: Service = request.app.state.service
    return service
