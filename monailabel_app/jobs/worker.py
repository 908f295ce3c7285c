"""The worker: a process of its own that holds a device and the loaded models, and does one job at a time.

Messages are tuples over one pipe. To the worker: ``("run", id, work, folder)``, ``("cancel", id)``. From
it: ``("ready",)``, ``("progress", id, Progress)``, ``("done", id, Results)``, ``("failed", id, error)``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from medgan_core import engine
from medgan_core.errors import MedganError
from medgan_core.monitor import Progress
from medgan_core.registry import Registry
from monailabel_app.jobs.work import Work, perform
from monailabel_app.problems import foreseen

logger = logging.getLogger(__name__)
_PROGRESS_EVERY_S = 0.1


def work_forever(pipe: Connection, device: str, models: Sequence[Path], private: Path) -> None:
    """Do jobs until the server ends this process, or is gone itself.

    Args:
        pipe: to the server.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        models: the registry's folders.
        private: the server's folder of uploads and results; removed if the server dies without doing it.
    """
    # Ctrl-C in a terminal reaches every process of its group; the server decides when the worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = _Worker(pipe, private)
    session = engine.Session(device=device, registry=Registry(models))
    worker.send(("ready",))
    while True:
        worker.do(session, *worker.orders.get())


class _Worker:
    """Listens in a thread while the main thread works."""

    def __init__(self, pipe: Connection, private: Path) -> None:
        self.orders: queue.SimpleQueue[tuple[str, Work, Path]] = queue.SimpleQueue()
        self._pipe, self._private = pipe, private
        self._cancelled: set[str] = set()
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, daemon=True, name="orders").start()

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                self._orphaned()
            if message[0] == "run":
                self.orders.put(message[1:])
            else:
                self._cancelled.add(message[1])

    def _orphaned(self) -> None:
        """End at once: the server died, nobody else will clean its folder."""
        shutil.rmtree(self._private, ignore_errors=True)
        os._exit(1)

    def send(self, message: tuple[object, ...]) -> None:
        # A lost server is noticed by the listener, which ends the process.
        with self._sending, contextlib.suppress(OSError):
            self._pipe.send(message)

    def do(self, session: engine.Session, job_id: str, work: Work, folder: Path) -> None:
        """One job, from its order to its last message."""
        try:
            results = perform(
                session,
                work,
                folder,
                progress=_Throttle(lambda step: self.send(("progress", job_id, step))),
                cancel=lambda: job_id in self._cancelled,
            )
        except Exception as error:
            if not isinstance(error, MedganError):
                logger.exception("job %s", job_id)
            self.send(("failed", job_id, foreseen(error)))
        else:
            self.send(("done", job_id, results))
        self._cancelled.discard(job_id)


class _Throttle:
    """Lets a new stage through at once, and steps of the same stage ten times a second."""

    def __init__(self, send: Callable[[Progress], None]) -> None:
        self._send, self._stage, self._last = send, "", 0.0

    def __call__(self, step: Progress) -> None:
        now = time.monotonic()
        if step.stage != self._stage or now - self._last >= _PROGRESS_EVERY_S:
            self._stage, self._last = step.stage, now
            self._send(step)
