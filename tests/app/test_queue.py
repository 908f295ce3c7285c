"""The queue with executors that run in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medgan_core.errors import CancelledError, InputError
from medgan_core.monitor import Progress
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import Channel, Paused, Results, Study
from monailabel_app.problems import (
    BusyError,
    KeyReusedError,
    NotFoundError,
    StateError,
    StorageFullError,
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


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def queue(gate: Gate, store: Store) -> Iterator[JobQueue]:
    queue = JobQueue(store, [gate], limit=3)
    queue.start()
    yield queue
    gate.open.set()
    queue.stop()


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


def test_jobs_of_a_client_keep_their_order_within_a_limit(queue: JobQueue, gate: Gate, store: Store) -> None:
    queue.submit(job(store, "a"))
    started(gate)
    for name in "bcd":
        queue.submit(job(store, name))
    with pytest.raises(BusyError, match="full"):
        queue.submit(job(store, "e"))
    assert [queue.document(queue.get(n))["position"] for n in "abcd"] == [None, 1, 2, 3]
    queue.submit(job(store, "f", client="another"))
    assert [doc["position"] for doc in queue.documents(queue.jobs())] == [None, 2, 3, 4, 1]
    gate.open.set()
    assert [queue.wait(n, 10).state for n in "abcdf"] == ["done"] * 5
    assert gate.order == ["a", "f", "b", "c", "d"]
    assert not list(store.folder.glob("jobs/[abcdf]/inputs")), "uploads are deleted with the end of the job"


def test_failures_are_problem_documents_and_do_not_stop_the_queue(
    queue: JobQueue, gate: Gate, store: Store
) -> None:
    gate.open.set()
    for name in ("refused", "broken", "fine"):
        queue.submit(job(store, name, name))
    refused, broken, fine = (queue.wait(n, 10) for n in ("refused", "broken", "fine"))
    assert refused.error is not None
    assert (refused.state, refused.error["code"], refused.error["status"]) == ("failed", "input-refused", 422)
    assert broken.error is not None
    assert (broken.error["code"], broken.error["status"]) == ("internal", 500)
    assert "ZeroDivisionError" in broken.error["got"]
    assert fine.document(None)["fraction"] == 1.0


def test_watchers_hear_of_every_change_until_they_leave(queue: JobQueue, gate: Gate, store: Store) -> None:
    heard: list[str] = []
    watched = job(store, "a")
    end = queue.watch("a", lambda: heard.append(queue.get("a").state))
    queue.submit(watched)
    started(gate)
    queue.cancel("a")
    assert queue.wait("a", 10).state == "cancelled"
    assert heard[:2] == ["queued", "running"]
    assert heard[-1] == "cancelled"
    end()
    count = len(heard)
    queue.remove("a")
    assert len(heard) == count
    with pytest.raises(NotFoundError):
        queue.get("a")
    assert not watched.folder.exists()


def test_finished_jobs_expire_with_their_files(store: Store) -> None:
    old = job(store, "old", state="done", finished=datetime.now(UTC) - timedelta(hours=2))
    new = job(store, "new", state="done", finished=datetime.now(UTC))
    store.put(old)
    store.put(new)
    JobQueue(store, [], retention=Retention(keep_s=3600)).sweep()
    assert [kept.id for kept in store.jobs()] == ["new"]
    assert not old.folder.exists()
    assert new.folder.exists()


def test_the_oldest_result_makes_room_and_what_cannot_fit_is_refused(gate: Gate, store: Store) -> None:
    gate.open.set()
    queue = JobQueue(store, [gate], retention=Retention(quota=250))
    queue.start()
    for name in "abc":
        queue.submit(job(store, name))
        assert queue.wait(name, 10).state == "done"
    assert [kept.id for kept in queue.jobs()] == ["b", "c"], "three results of 100 bytes do not fit"
    assert not store.place("a").exists()
    with pytest.raises(StorageFullError, match="no room"), queue.room(251):
        pass
    assert [kept.id for kept in queue.jobs()] == ["b", "c"], "nothing goes for what does not fit anyhow"
    with queue.room(150):
        assert [kept.id for kept in queue.jobs()] == ["c"]
        with pytest.raises(StorageFullError), queue.room(101):
            pass
    queue.stop()


def test_the_same_request_under_the_same_key_is_the_same_job(
    queue: JobQueue, gate: Gate, store: Store
) -> None:
    first = queue.submit(job(store, "a", client="x", key="k", digest="1"))
    assert queue.submit(job(store, "b", client="x", key="k", digest="1")).id == first.id == "a"
    with pytest.raises(KeyReusedError):
        queue.submit(job(store, "c", client="x", key="k", digest="2"))
    assert queue.submit(job(store, "d", client="y", key="k", digest="2")).id == "d"
    gate.open.set()
    queue.remove("a")
    assert queue.submit(job(store, "e", client="x", key="k", digest="2")).id == "e"


def test_a_batch_makes_way_between_its_studies(queue: JobQueue, gate: Gate, store: Store) -> None:
    batch = Batch(model="m", images={name: f"{name}.nii" for name in ("p", "q", "r")})
    queue.submit(job(store, "batch", work=batch, client="x"))
    started(gate)
    queue.submit(job(store, "quick", client="y"))
    gate.open.set()
    assert queue.wait("batch", 10).state == "done"
    assert gate.order == ["batch", "quick", "batch"]
    assert [study.state for study in queue.get("batch").studies] == ["done"] * 3


def test_a_study_that_kills_the_worker_is_left_out(queue: JobQueue, gate: Gate, store: Store) -> None:
    gate.open.set()
    batch = Batch(model="m", images={name: f"{name}.nii" for name in ("p", "deadly", "r")})
    queue.submit(job(store, "batch", work=batch))
    done = queue.wait("batch", 10)
    assert done.state == "done"
    assert [study.state for study in done.studies] == ["done", "failed", "done"]
    assert done.studies[1].error is not None
    assert done.studies[1].error["code"] == "worker-died"


def test_stopping_interrupts_what_can_be_resubmitted_later(gate: Gate, store: Store) -> None:
    queue = JobQueue(store, [gate])
    queue.start()
    queue.submit(job(store, "a"))
    started(gate)
    queue.submit(job(store, "b"))
    queue.stop()
    assert [queue.wait(n, 5).state for n in "ab"] == ["interrupted", "interrupted"]
    with pytest.raises(BusyError):
        queue.submit(job(store, "c"))
    (store.place("stray") / "inputs").mkdir(parents=True)

    store, gate = Store(store.folder), Gate()
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.start()
    assert [kept.state for kept in queue.jobs()] == ["interrupted", "interrupted"]
    assert sorted(path.name for path in (store.folder / "jobs").iterdir()) == ["a", "b"]
    assert (store.place("a") / "inputs" / "image.nii").is_file()
    assert queue.resubmit("a").state == "queued"
    assert queue.wait("a", 10).state == "done"
    with pytest.raises(StateError):
        queue.resubmit("a")
    queue.stop()


def test_what_a_killed_server_left_running_is_interrupted(store: Store) -> None:
    half = job(store, "a", state="running", started=datetime.now(UTC))
    (half.folder / "results" / "001").mkdir(parents=True)
    (half.folder / "results" / "002").mkdir()
    (half.folder / "results" / "T2.nii").write_bytes(b"half")
    studies = (
        Study(image="p", state="done", results={"001/T2": "001/T2.nii"}),
        Study(image="q", state="running"),
    )
    batch = Batch(model="m", images={"p": "p.nii", "q": "q.nii"})
    store.put(replace(half, work=batch, studies=studies, results={"001/T2": "001/T2.nii"}))
    store.close()
    queue = JobQueue(Store(store.folder), [])
    queue.start()
    left = queue.get("a")
    assert (left.state, [study.state for study in left.studies]) == ("interrupted", ["done", "queued"])
    assert [path.name for path in (half.folder / "results").iterdir()] == ["001"]
    assert (half.folder / "inputs" / "image.nii").is_file()
    queue.stop()


def test_a_disk_that_is_full_for_a_while_stops_no_queue(store: Store) -> None:
    gate = Gate()
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.start()
    store._database.execute("PRAGMA query_only = ON")  # as on a full disk, SQLite refuses to write
    queue.submit(job(store, "a"))
    assert queue.wait("a", 10).state == "done"
    queue.submit(job(store, "gone"))
    queue.wait("gone", 10)
    queue.remove("gone")
    store._database.execute("PRAGMA query_only = OFF")
    queue.sweep()
    assert queue.alive
    queue.stop()
    assert [(kept.id, kept.state) for kept in Store(store.folder).jobs()] == [("a", "done")]


def test_a_devices_thread_survives_whatever_its_jobs_or_their_listeners_do(store: Store) -> None:
    class Unsteady(Gate):
        def start(self) -> None:
            if self.order:
                raise OSError("no process can be started")

    def listener(changed: Job) -> None:
        raise RuntimeError(changed.id)

    gate = Unsteady()
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.listeners.append(listener)
    queue.start()
    for name in "ab":
        queue.submit(job(store, name))
    assert [queue.wait(name, 20).state for name in "ab"] == ["done", "done"]
    assert queue.alive
    queue.stop()
    assert not queue.alive


def test_a_job_whose_files_cannot_be_put_in_order_has_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(finished: Job) -> None:
        raise OSError(28, "No space left on device")

    gate = Gate()
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.start()
    with monkeypatch.context() as broken:
        broken.setattr("monailabel_app.jobs.files.remove_inputs", full)
        queue.submit(job(store, "a"))
        assert queue.wait("a", 10).state == "failed"
    queue.submit(job(store, "b"))
    assert queue.wait("b", 10).state == "done"
    queue.stop()


def test_of_many_submitted_at_once_one_is_taken_when_it_will_do_for_all(
    queue: JobQueue, gate: Gate, store: Store
) -> None:
    jobs, answers = [job(store, f"t{n}", model="tuned") for n in range(8)], []
    together = threading.Barrier(len(jobs))

    def submit(one: Job) -> None:
        together.wait()
        answers.append(queue.submit(one, instead=lambda other: other.work.model == "tuned").id)

    threads = [threading.Thread(target=submit, args=(one,)) for one in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(queue.jobs()) == 1
    assert answers == [queue.jobs()[0].id] * 8
    gate.open.set()
    queue.wait(answers[0], 10)
    assert queue.submit(job(store, "later", model="tuned"), instead=lambda other: True).id == "later"


def test_a_batch_makes_way_for_its_own_clients_run_too(queue: JobQueue, gate: Gate, store: Store) -> None:
    batch = Batch(model="m", images={name: f"{name}.nii" for name in ("p", "q", "r")})
    queue.submit(job(store, "batch", work=batch, client="x"))
    started(gate)
    queue.submit(job(store, "quick", client="x"))
    gate.open.set()
    assert queue.wait("batch", 10).state == "done"
    assert gate.order == ["batch", "quick", "batch"]


def test_what_is_on_the_disk_already_is_counted_once(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of 1000 bytes beside the margin: an upload of 600 fits, results of 400 beside one of 500 too."""
    margin = 256 << 20

    def free(folder: Path) -> int:
        return margin + 1000 - sum(p.stat().st_size for p in (folder / "jobs").rglob("*") if p.is_file())

    monkeypatch.setattr("monailabel_app.jobs.files.free_bytes", free)
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.start()
    with queue.room(600):
        upload = job(store, "a")
        (upload.folder / "inputs" / "image.nii").write_bytes(b"0" * 600)
    queue.submit(upload)
    assert queue.wait("a", 10).state == "done"
    with queue.room(800):
        upload = job(store, "b")
        (upload.folder / "inputs" / "image.nii").write_bytes(b"0" * 800)
    queue.submit(upload)
    assert queue.wait("b", 10).state == "done"
    assert [kept.id for kept in queue.jobs()] == ["a", "b"], "nothing goes for what fits"
    queue.stop()


def test_polls_are_answered_while_files_are_removed(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    removing, go_on = threading.Event(), threading.Event()

    def slow(folder: Path, **_: Any) -> None:
        removing.set()
        go_on.wait(10)

    gate.open.set()
    queue = JobQueue(store, [gate], retention=Retention(quota=150))
    queue.start()
    queue.submit(job(store, "a"))
    queue.wait("a", 10)
    gate.open.clear()
    monkeypatch.setattr("monailabel_app.jobs.files.remove_all", slow)

    def upload() -> None:
        with queue.room(100):
            pass

    thread = threading.Thread(target=upload)
    thread.start()
    assert removing.wait(10)
    waiting = Job(id="b", folder=store.place("b"), work=Run(model="any"))
    poll = threading.Thread(target=queue.document, args=(waiting,), daemon=True)
    poll.start()
    poll.join(2)
    answered = not poll.is_alive()
    go_on.set()
    thread.join(10)
    poll.join(10)
    assert answered
    gate.open.set()
    queue.stop()
