"""The queue with executors that run in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medgan_core.errors import CancelledError, InputError
from medgan_core.monitor import Progress
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.store import MemoryStore
from monailabel_app.jobs.work import Results, Work
from monailabel_app.problems import BusyError, NotFoundError


class Gate:
    """An executor that holds every job until its gate is opened, then does what the model's name says."""

    device = "cpu"

    def __init__(self) -> None:
        self.open, self.order = threading.Event(), []  # type: tuple[threading.Event, list[str]]

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        self.open.set()

    def status(self) -> dict[str, Any]:
        return {"device": self.device, "state": "idle", "pid": None}

    def run(
        self, job: Job, *, progress: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> Results:
        self.order.append(job.id)
        progress(Progress(0.5, "half", 1.0, 1.0))
        while not (cancelled() or self.open.wait(0.01)):
            pass
        if cancelled():
            raise CancelledError()
        if job.work.model == "refused":
            raise InputError("No", expected="a", got="b", action="c")
        if job.work.model == "broken":
            raise ZeroDivisionError("oh")
        return Results({"image": "image.nii"}, "pass")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def queue(gate: Gate) -> Iterator[JobQueue]:
    queue = JobQueue(MemoryStore(), [gate], limit=3)
    queue.start()
    yield queue
    queue.stop()


def job(folder: Path, name: str, model: str = "any", **more: Any) -> Job:
    (folder / name / "inputs").mkdir(parents=True)
    (folder / name / "inputs" / "image.nii").write_bytes(b"0")
    return Job(id=name, work=Work(model=model, inputs={}), folder=folder / name, **more)


def started(gate: Gate, count: int = 1) -> None:
    deadline = time.monotonic() + 10
    while len(gate.order) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_first_come_first_served_within_the_limit(queue: JobQueue, gate: Gate, tmp_path: Path) -> None:
    queue.submit(job(tmp_path, "a"))
    started(gate)
    for name in "bcd":
        queue.submit(job(tmp_path, name))
    with pytest.raises(BusyError, match="full"):
        queue.submit(job(tmp_path, "e"))
    assert [queue.document(queue.get(n))["position"] for n in "abcd"] == [None, 1, 2, 3]
    gate.open.set()
    assert [queue.wait(n, 10).state for n in "abcd"] == ["done"] * 4
    assert gate.order == ["a", "b", "c", "d"]
    assert not list(tmp_path.glob("[abcd]/inputs")), "uploads are deleted with the end of the job"


def test_failures_are_problem_documents_and_do_not_stop_the_queue(
    queue: JobQueue, gate: Gate, tmp_path: Path
) -> None:
    gate.open.set()
    for name in ("refused", "broken", "fine"):
        queue.submit(job(tmp_path, name, name))
    refused, broken, fine = (queue.wait(n, 10) for n in ("refused", "broken", "fine"))
    assert refused.error is not None
    assert (refused.state, refused.error["code"], refused.error["status"]) == ("failed", "input-refused", 422)
    assert broken.error is not None
    assert (broken.error["code"], broken.error["status"]) == ("internal", 500)
    assert "ZeroDivisionError" in broken.error["got"]
    assert fine.document(None)["fraction"] == 1.0


def test_watchers_hear_of_every_change_until_they_leave(queue: JobQueue, gate: Gate, tmp_path: Path) -> None:
    heard: list[str] = []
    watched = job(tmp_path, "a")
    end = queue.watch("a", lambda: heard.append(queue.get("a").state))
    queue.submit(watched)
    started(gate)
    queue.cancel("a")
    assert queue.wait("a", 10).state == "cancelled"
    assert heard[0] == "running"
    assert heard[-1] == "cancelled"
    end()
    count = len(heard)
    queue.remove("a")
    assert len(heard) == count
    with pytest.raises(NotFoundError):
        queue.get("a")
    assert not watched.folder.exists()


def test_finished_jobs_expire_with_their_files(queue: JobQueue, tmp_path: Path) -> None:
    store = MemoryStore()
    old = job(tmp_path, "old", state="done", finished=datetime.now(UTC) - timedelta(hours=2))
    new = job(tmp_path, "new", state="done", finished=datetime.now(UTC))
    store.put(old)
    store.put(new)
    JobQueue(store, [], keep_s=3600).sweep()
    assert [kept.id for kept in store.jobs()] == ["new"]
    assert not old.folder.exists()
    assert new.folder.exists()


def test_stopping_cancels_what_waits_and_what_runs(gate: Gate, tmp_path: Path) -> None:
    queue = JobQueue(MemoryStore(), [gate])
    queue.start()
    queue.submit(job(tmp_path, "a"))
    started(gate)
    queue.submit(job(tmp_path, "b"))
    queue.stop()
    assert [queue.wait(n, 5).state for n in "ab"] == ["cancelled", "cancelled"]
    with pytest.raises(BusyError):
        queue.submit(job(tmp_path, "c"))
