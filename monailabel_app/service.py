"""What the addresses of the server work with: models, queue, datastore and the private folder."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request

from medgan_core.card import ModelCard
from medgan_core.errors import MedganError, UsageError
from medgan_core.registry import Registry
from monailabel_app.jobs.executor import ProcessExecutor
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.store import MemoryStore
from monailabel_app.jobs.work import Work, checked
from monailabel_app.problems import UnknownModelError
from monailabel_app.studies import image_path


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a server is set up.

    Args:
        studies: folder of MONAI Label's datastore, or the address of a DICOMweb server.
        models: the registry's folders.
        devices: one worker for each.
        upload_limit: largest uploaded file in bytes.
        queue_limit: how many jobs may wait.
        keep_s: how long finished jobs are kept.
    """

    studies: str
    models: tuple[Path, ...] = field(default_factory=lambda: Registry().folders)
    devices: tuple[str, ...] = ("auto",)
    upload_limit: int = 2 << 30
    queue_limit: int = 64
    keep_s: float = 3600.0


class Service:
    """Everything a request needs; made before the server starts, closed after it.

    Args:
        options: how the server is set up.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.registry = Registry(options.models)
        # Readable by this user alone; uploads and results of patients lie in it.
        self.private = Path(tempfile.mkdtemp(prefix="medgan-"))
        self.queue = JobQueue(
            MemoryStore(),
            [
                ProcessExecutor(device, models=options.models, private=self.private)
                for device in options.devices
            ],
            limit=options.queue_limit,
            keep_s=options.keep_s,
        )
        self.app: Any = None

    def start(self, app: Any) -> None:
        """Start the workers, and remember MONAI Label's app for its datastore and sessions."""
        self.app = app
        self.queue.start()

    def close(self) -> None:
        """End the workers and remove the private folder. Safe to call twice."""
        self.queue.stop()
        shutil.rmtree(self.private, ignore_errors=True)

    def card(self, name: str) -> ModelCard:
        """The model's card.

        Raises:
            UnknownModelError: when there is no such model.
            ModelError: when its card is damaged.
        """
        try:
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

    def submit(self, job_id: str, folder: Path, work: Work) -> Job:
        """Queue work, after it was checked against the model's card.

        Raises:
            UsageError: when it does not fit the card.
            UnknownModelError: when there is no such model.
            BusyError: when the queue is full.
        """
        job = Job(id=job_id, work=checked(self.card(work.model), work), folder=folder)
        self.queue.submit(job)
        return job


def service_of(request: Request) -> Service:
    """The service of the app that a request came to (a FastAPI dependency)."""
    service: Service = request.app.state.service
    return service
