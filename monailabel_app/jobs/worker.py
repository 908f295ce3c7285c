"""The worker: a process of its own that holds a device and the loaded models, and does one job at a time.

Messages are tuples over one pipe. To the worker: ``("run", id, work, folder, studies)``, ``("cancel", id)``,
``("pause", id)``. From it: ``("ready",)``, ``("progress", id, Progress)``, ``("study", id, Study)`` or, last,
``("done", id, Results)``, ``("paused", id, None)`` or ``("failed", id, error)``.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from medgan_core import engine
from medgan_core.errors import MedganError, ResourceError
from medgan_core.monitor import Progress
from medgan_core.registry import Registry
from monailabel_app.jobs.work import Paused, Study, Work
from monailabel_app.problems import foreseen

logger = logging.getLogger(__name__)
_PROGRESS_EVERY_S = 0.1

Order = tuple[str, Work, Path, Sequence[Study]]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a worker is made with.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        models: the registry's folders.
        model_memory: bytes that loaded models may take; None for a share of the device's.
    """

    device: str
    models: tuple[Path, ...]
    model_memory: int | None = None

    def session(self) -> engine.Session:
        """A session of the engine on the device."""
        return engine.Session(
            device=self.device, registry=Registry(self.models), model_memory=self.model_memory
        )


def work_forever(pipe: Connection, setup: Setup) -> None:
    """Do jobs until the server ends this process, or is gone itself.

    Args:
        pipe: to the server.
        setup: device, models and memory.
    """
    # Ctrl-C in a terminal reaches every process of its group; the server decides when the worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = _Worker(pipe)
    session = setup.session()
    for library in _NEEDED_BY_JOBS:
        importlib.import_module(library)
    worker.send(("ready",))
    while True:
        worker.do(session, *worker.orders.get())


_NEEDED_BY_JOBS = ("nibabel", "scipy.ndimage")
"""The core imports these when they are needed; a person should not wait for that."""


class _Worker:
    """Listens in a thread while the main thread works."""

    def __init__(self, pipe: Connection) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self.cancelled: set[str] = set()
        self.paused: set[str] = set()
        self._pipe = pipe
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                # The server is gone; the next one cleans up.
                os._exit(1)
            if message[0] == "run":
                self.orders.put(message[1:])
            elif message[0] == "cancel":
                self.cancelled.add(message[1])
            else:
                self.paused.add(message[1])

    def send(self, message: tuple[object, ...]) -> None:
        # A lost server is noticed by the listener, which ends the process.
        with self._sending, contextlib.suppress(OSError):
            self._pipe.send(message)

    def do(
        self, session: engine.Session, job_id: str, work: Work, folder: Path, studies: Sequence[Study]
    ) -> None:
        """One job, from its order to its last message."""
        try:
            results = work.perform(session, folder, _Line(self, job_id), studies)
        except Paused:
            self.send(("paused", job_id, None))
        except Exception as error:
            known = out_of_memory(error) or foreseen(error)
            if known is not error:
                logger.error("job %s", job_id, exc_info=error)
            self.send(("failed", job_id, known))
        else:
            self.send(("done", job_id, results))
        self.cancelled.discard(job_id)
        self.paused.discard(job_id)


def out_of_memory(error: Exception) -> MedganError | None:
    """A typed error for what the device or the machine has too little memory for; None for other errors."""
    # By name: torch's class is not one of Python's, and the app does not import torch.
    if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
        return None
    return ResourceError(
        "There is too little memory for the job",
        expected="memory for the volume and the network",
        got=str(error).splitlines()[0][:200] if str(error) else "none left",
        action="crop or resample the volume, or have it done on another device",
    )


class _Line:
    """A job's channel to the server; steps of the same stage go through ten times a second."""

    def __init__(self, worker: _Worker, job_id: str) -> None:
        self._worker, self._id = worker, job_id
        self._stage, self._last = "", 0.0

    def progress(self, step: Progress) -> None:
        now = time.monotonic()
        if step.stage != self._stage or now - self._last >= _PROGRESS_EVERY_S:
            self._stage, self._last = step.stage, now
            self._worker.send(("progress", self._id, step))

    def study(self, study: Study) -> None:
        self._worker.send(("study", self._id, study))

    def cancelled(self) -> bool:
        return self._id in self._worker.cancelled

    def wanted(self) -> bool:
        return self._id in self._worker.paused
