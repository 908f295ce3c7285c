"""Who does the work: an interface, and one that keeps a worker process and replaces it when it dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Literal, Protocol, TypeVar

from medgan_core.errors import CancelledError, MedganError
from medgan_core.monitor import Progress
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Channel, Paused, Results, Study
from monailabel_app.jobs.worker import Setup, work_forever
from monailabel_app.problems import WorkerDiedError

_POLL_S = 0.05
_START_S = 180.0
T = TypeVar("T")


class Executor(Protocol):
    """Does one job at a time; used by one thread of the queue."""

    device: str

    def start(self) -> None:
        """Get ready, so that the first job need not wait; called again after every job."""

    def run(self, job: Job, channel: Channel) -> Results:
        """Do the job, and listen to the channel meanwhile.

        Raises:
            Paused: when the work made way for others.
            WorkerDiedError: when whoever did it is gone.
            MedganError: what the work raised; `CancelledError` within a second of a cancel.
        """

    def stop(self) -> None:
        """End, with whatever is going on."""

    def status(self) -> dict[str, Any]:
        """Device, state (``starting``, ``idle``, ``busy``, ``stopped``) and process id."""


class ProcessExecutor:
    """A worker process: spawned, kept with its loaded models, killed and replaced when it must be.

    Args:
        setup: device, models and memory of the worker.
        grace_s: how long a worker may take to notice a cancel before it is ended.
    """

    def __init__(self, setup: Setup, *, grace_s: float = 0.7) -> None:
        self.device, self._setup, self._grace_s = setup.device, setup, grace_s
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._state: Literal["starting", "idle", "busy", "stopped"] = "stopped"
        self._ended = False

    def start(self) -> None:
        """Spawn the worker if there is none alive; does not wait until it is ready."""
        with self._lock:
            if self._ended or (self._process is not None and self._process.is_alive()):
                return
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=work_forever,
                args=(theirs, self._setup),
                name=f"medgan-worker-{self.device}",
                daemon=True,
            )
            self._state = "starting"
            self._process.start()
            theirs.close()

    def run(self, job: Job, channel: Channel) -> Results:
        """Send the job to the worker and listen until it is over.

        Raises:
            CancelledError: at most `grace_s` and a moment after the channel says so.
            Paused: when the work made way for others.
            WorkerDiedError: when the worker ended before the job did.
            MedganError: what the worker reports.
        """
        self.start()
        try:
            self._wait_ready(channel.cancelled)
            self._state = "busy"
            self._tell(("run", job.id, job.work, job.folder / "results", job.studies))
            return self._listen(job.id, channel)
        except (EOFError, OSError) as error:
            raise self._died() from error
        finally:
            if self._state == "busy":
                self._state = "idle"

    def stop(self) -> None:
        """End the worker at once: an idle one has nothing to lose, a busy one's job is cancelled."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is None:
            return
        # The pipe stays open: the queue's thread may be listening, and learns from it of the worker's end.
        process.kill()
        process.join(5.0)

    def status(self) -> dict[str, Any]:
        """Device, state and process id."""
        process = self._process
        alive = process is not None and process.is_alive()
        state = self._state
        if alive and state == "starting":
            # Ready as soon as it has spoken, though nobody has needed it yet.
            with contextlib.suppress(OSError):
                state = "idle" if self._pipe is not None and self._pipe.poll() else state
        return {
            "device": self.device,
            "state": state if alive else "stopped",
            "pid": process.pid if alive and process is not None else None,
        }

    def _wait_ready(self, cancelled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while self._state == "starting":
            if cancelled():
                raise CancelledError()
            if self._poll():
                self._receive()
                self._state = "idle"
            elif time.monotonic() > deadline:
                self._kill()
                raise WorkerDiedError(
                    "The worker process did not start",
                    expected=f"ready within {_START_S:.0f} s",
                    got="no sign of life",
                    action="see the server's log; is the device in order?",
                )

    def _listen(self, job_id: str, channel: Channel) -> Results:
        asked, pausing = None, False
        while True:
            if self._poll():
                kind, sender, content = self._receive()
                if sender != job_id:
                    continue
                if kind == "done":
                    return _is(Results, content)
                if kind == "failed":
                    raise _is(MedganError, content)
                if kind == "paused":
                    raise Paused
                if kind == "study":
                    channel.study(_is(Study, content))
                else:
                    channel.progress(_is(Progress, content))
            if asked is not None and time.monotonic() - asked > self._grace_s:
                self._kill()
                raise CancelledError()
            if asked is None and channel.cancelled():
                asked = time.monotonic()
                self._tell(("cancel", job_id))
            elif not pausing and channel.wanted():
                pausing = True
                self._tell(("pause", job_id))

    def _poll(self) -> bool:
        pipe = self._pipe
        return pipe is not None and pipe.poll(_POLL_S)

    def _receive(self) -> tuple[Any, ...]:
        if self._pipe is None:
            raise EOFError
        message: tuple[Any, ...] = self._pipe.recv()
        return message

    def _tell(self, message: tuple[object, ...]) -> None:
        if self._pipe is None:
            raise EOFError
        self._pipe.send(message)

    def _died(self) -> WorkerDiedError:
        process = self._process
        if process is not None:
            process.join(1.0)
        status = None if process is None else process.exitcode
        self._kill()
        return WorkerDiedError(
            "The process that did the work ended before the work was done",
            expected="a result or an error",
            got=_end(status),
            action="submit the job again; if it happens again, memory is too small or the input is damaged",
        )

    def _kill(self) -> None:
        with self._lock:
            process, pipe = self._process, self._pipe
            self._process, self._pipe, self._state = None, None, "stopped"
        if process is not None:
            process.kill()
            process.join(5.0)
        if pipe is not None:
            pipe.close()


def _is(kind: type[T], content: object) -> T:
    """The content of a message, which only a worker of another version could get wrong."""
    if not isinstance(content, kind):
        raise OSError(f"a message with {type(content).__name__} for {kind.__name__}")
    return content


def _end(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None or status >= 0:
        return f"exit status {'unknown' if status is None else status}"
    if -status == signal.SIGKILL:
        return "killed (SIGKILL), as a system does that runs out of memory"
    return f"a crash ({signal.Signals(-status).name})"
