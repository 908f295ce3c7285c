"""An executor that waits for a gate, and jobs for it: what the tests of the queue share."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from medgan_core.errors import CancelledError, InputError
from medgan_core.monitor import Progress
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import Channel, Paused, Results
from monailabel_app.problems import (
    WorkerDiedError,
)


class Gate:
    """An executor that holds every job until its gate is opened, then does what the model's name says."""

    device = "cpu"

    def __init__(self) -> None:
        self.open, self.order = threading.Event(), []  # type: tuple[threading.Event, list[str]]
        self.stopped = threading.Event()

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        self.stopped.set()

    def status(self) -> dict[str, Any]:
        return {"device": self.device, "state": "idle", "pid": None}

    def run(self, job: Job, channel: Channel) -> Results:
        self.order.append(job.id)
        channel.progress(Progress(0.5, "half", 1.0, 1.0))
        if isinstance(job.work, Batch):
            return self.batch(job, channel)
        while not (channel.cancelled() or self.open.wait(0.01)):
            if self.stopped.is_set():
                raise WorkerDiedError("Stopped")
        if channel.cancelled():
            raise CancelledError()
        if job.work.model == "refused":
            raise InputError("No", expected="a", got="b", action="c")
        if job.work.model == "broken":
            raise ZeroDivisionError("oh")
        (job.folder / "results").mkdir(parents=True, exist_ok=True)
        (job.folder / "results" / "image.nii").write_bytes(b"0" * 100)
        return Results({"image": "image.nii"}, "pass")

    def batch(self, job: Job, channel: Channel) -> Results:
        """One study after the other, until somebody else waits; dies of the study ``deadly``."""
        for study in job.studies:
            if study.state == "queued":
                channel.study(replace(study, state="running"))
                while not self.open.wait(0.01):
                    pass
                if study.image == "deadly":
                    raise WorkerDiedError("Killed")
                channel.study(replace(study, state="done", results={study.image: "x.nii"}))
                if channel.wanted():
                    raise Paused
        return Results({"all": "x.nii"}, "pass")


def job(store: Store, name: str, model: str = "any", **more: Any) -> Job:
    folder = store.place(name)
    (folder / "inputs").mkdir(parents=True)
    (folder / "inputs" / "image.nii").write_bytes(b"0" * 10)
    return Job(id=name, folder=folder, **{"work": Run(model=model), **more})


def started(gate: Gate, count: int = 1) -> None:
    deadline = time.monotonic() + 10
    while len(gate.order) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)
