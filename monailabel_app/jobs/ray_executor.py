"""Jobs done by a Ray cluster: one actor in the place of each worker process, on whichever machine has room.

The files of a job travel with it, so machines need no common disk; models must be installed on each.
Ray is an optional dependency (``pip install ray``).
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import Any, Literal

import ray
from ray.exceptions import RayError

from medgan_core.errors import CancelledError, MedganError, ResourceError
from medgan_core.monitor import Progress
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ray_worker import RayWorker
from monailabel_app.jobs.transport import Parcel, pack, unpack
from monailabel_app.jobs.work import Channel, Paused, Results, Study
from monailabel_app.jobs.worker import Setup
from monailabel_app.problems import WorkerDiedError, foreseen

_POLL_S = 0.1
_START_S = 180.0


class RayExecutor:
    """A Ray actor that holds a device and the loaded models; killed and replaced when it must be.

    Args:
        setup: device, models and memory of the worker; with ``cuda`` it takes a whole GPU of the cluster.
        address: of the cluster (``HOST:PORT``, ``ray://HOST:PORT``, ``auto``); ``local`` starts one here.
        grace_s: how long a worker may take to notice a cancel before it is ended.

    Raises:
        ResourceError: when the cluster cannot be reached.
    """

    def __init__(self, setup: Setup, *, address: str, grace_s: float = 0.6) -> None:
        self.device, self._setup, self._grace_s = f"ray:{setup.device}", setup, grace_s
        self._lock = threading.Lock()
        self._state: Literal["starting", "idle", "busy", "stopped"] = "stopped"
        self._actor: Any = None
        self._ready: Any = None
        self._ended = False
        _connect(address)

    def start(self) -> None:
        """Have an actor made if there is none; does not wait until it is ready."""
        with self._lock:
            if self._ended or self._actor is not None:
                return
            gpus = 0 if self._setup.device == "cpu" else 1
            made = ray.remote(RayWorker).options(num_cpus=1, num_gpus=gpus, max_concurrency=2)
            # An actor with a GPU of its own sees no other, whatever its number.
            self._actor = made.remote(replace(self._setup, device="cuda") if gpus else self._setup)
            self._ready, self._state = self._actor.ready.remote(), "starting"

    def run(self, job: Job, channel: Channel) -> Results:
        """Send the job with its files to the actor and listen until it is over.

        Raises:
            CancelledError: at most `grace_s` and a moment after the channel says so.
            Paused: when the work made way for others.
            WorkerDiedError: when the actor, or its machine, ended before the job did.
            MedganError: what the work raised.
        """
        self.start()
        try:
            self._wait_ready(channel)
            self._state = "busy"
            running = self._actor.run.remote(job.id, pack(job), job.studies)
            self._listen(job.id, running, channel)
            return _outcome(ray.get(running), job)
        except RayError as error:
            self._kill()
            raise WorkerDiedError(
                "The cluster's worker ended before the work was done",
                expected="a result or an error",
                got=type(error).__name__,
                action="submit the job again; if it happens again, see the cluster's log",
            ) from error
        finally:
            if self._state == "busy":
                self._state = "idle"

    def stop(self) -> None:
        """End the actor at once."""
        self._ended = True
        self._kill()

    def status(self) -> dict[str, Any]:
        """Device and state; the process id means nothing on another machine."""
        state = self._state
        if state == "starting" and ray.wait([self._ready], timeout=0)[0]:
            state = "idle"
        return {"device": self.device, "state": state, "pid": None}

    def _wait_ready(self, channel: Channel) -> None:
        deadline = time.monotonic() + _START_S
        while not ray.wait([self._ready], timeout=_POLL_S)[0]:
            if channel.cancelled():
                raise CancelledError()
            if time.monotonic() > deadline:
                self._kill()
                raise ResourceError(
                    "The cluster made no worker",
                    expected=f"a machine with room for one within {_START_S:.0f} s",
                    got="none",
                    action="add a machine to the cluster, or wait until it is less busy",
                )
        ray.get(self._ready)

    def _listen(self, job_id: str, running: Any, channel: Channel) -> None:
        """Until the job is over: what it says goes to the channel, what the channel asks goes to it."""
        asked: float | None = None
        while not ray.wait([running], timeout=_POLL_S)[0]:
            if asked is not None and time.monotonic() - asked > self._grace_s:
                self._kill()
                raise CancelledError()
            if asked is None and channel.cancelled():
                asked = time.monotonic()
            said = self._actor.exchange.remote(job_id, asked is not None, channel.wanted())
            # Not longer than the next look: an actor that hangs does not answer either.
            for message in ray.get(said) if ray.wait([said], timeout=self._grace_s)[0] else ():
                _tell(channel, message)
        for message in ray.get(self._actor.exchange.remote(job_id, False, False)):
            _tell(channel, message)

    def _kill(self) -> None:
        with self._lock:
            actor, self._actor, self._state = self._actor, None, "stopped"
        if actor is not None:
            ray.kill(actor)


def _connect(address: str) -> None:
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ResourceError(
            "The Ray cluster cannot be reached",
            expected="the address of a running cluster, or 'local'",
            got=f"{address}: {error}"[:200],
            action="start it (ray start --head) and check --address",
        ) from error


def _tell(channel: Channel, message: Progress | Study) -> None:
    if isinstance(message, Study):
        channel.study(message)
    else:
        channel.progress(message)


def _outcome(answer: tuple[Parcel, Results | BaseException], job: Job) -> Results:
    """Files back in their place, and what the work returned or raised."""
    parcel, outcome = answer
    unpack(parcel, job.folder / "results")
    if isinstance(outcome, Results):
        return outcome
    raise outcome if isinstance(outcome, MedganError | Paused) else foreseen(outcome)
