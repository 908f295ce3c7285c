"""The queue on a disk that is full, or fails; room that it makes; what it survives."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.store import Store
from monailabel_app.problems import (
    StorageFullError,
)
from tests.app.gates import Gate, job


def _upload(store: Store, name: str, size: int) -> Job:
    """A job whose upload has this size."""
    made = job(store, name)
    (made.folder / "inputs" / "image.nii").write_bytes(b"0" * size)
    return made


def disk_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A disk of so many bytes for the jobs' files, beside the margin."""

    def free(folder: Path) -> int:
        used = sum(p.stat().st_size for p in (folder / "jobs").rglob("*") if p.is_file())
        return (256 << 20) + size - used

    monkeypatch.setattr("monailabel_app.jobs.files.free_bytes", free)


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
        with pytest.raises(StorageFullError), queue.room(101):
            pass
        with queue.room(1000, job=False):
            pass
    with queue.room(1000, job=False), queue.room(250):
        pass
    assert [kept.id for kept in queue.jobs()] == ["b", "c"], "nor for what is only announced"
    gate.open.clear()
    queue.submit(_upload(store, "d", 150))
    assert [kept.id for kept in queue.jobs()] == ["c", "d"], "but for what is there"
    gate.open.set()
    queue.stop()


def test_no_result_goes_for_what_others_announce_when_a_job_comes_or_ends(gate: Gate, store: Store) -> None:
    gate.open.set()
    queue = JobQueue(store, [gate], retention=Retention(quota=250))
    queue.start()
    queue.submit(job(store, "a"))
    queue.wait("a", 10)
    with queue.room(150):
        with pytest.raises(StorageFullError, match="no room"):
            queue.submit(_upload(store, "big", 101))
        queue.submit(job(store, "b"))
        assert queue.wait("b", 10).state == "done"
        assert [kept.id for kept in queue.jobs()] == ["a", "b"]
    queue.stop()


def test_results_make_way_on_a_full_disk_as_the_bytes_come(
    gate: Gate, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of 300 bytes beside the margin, with three results of 100."""
    disk_of(monkeypatch, 310)
    gate.open.set()
    queue = JobQueue(store, [gate])
    queue.start()
    for name in "abc":
        queue.submit(job(store, name))
        assert queue.wait(name, 10).state == "done"
    for counts in (True, False):
        with pytest.raises(StorageFullError, match="no room"), queue.room(311, job=counts):
            pass
    with queue.room(200, job=False) as make_way:
        make_way(10)
        assert [kept.id for kept in queue.jobs()] == ["a", "b", "c"]
        make_way(100)
        assert [kept.id for kept in queue.jobs()] == ["b", "c"]
    assert not store.place("a").exists()
    queue.stop()


def test_work_that_ended_well_does_not_fail_for_its_size(gate: Gate, store: Store) -> None:
    """What it made may be published, or in the store: a failure would be untrue."""
    gate.open.set()
    delivered: list[str] = []
    queue = JobQueue(
        store, [gate], retention=Retention(quota=60), deliver=lambda job, _: delivered.append(job.id)
    )
    queue.start()
    for name in "ab":
        queue.submit(job(store, name))
        assert queue.wait(name, 10).state == "done"
    assert delivered == ["a", "b"]
    assert [kept.id for kept in queue.jobs()] == ["b"], "what can go goes nevertheless"
    assert not store.place("a").exists()
    with pytest.raises(StorageFullError), queue.room(61):
        pass
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


def test_what_is_on_the_disk_already_is_counted_once(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of 1000 bytes beside the margin: an upload of 600 fits, results of 400 beside one of 500 too."""
    disk_of(monkeypatch, 1000)
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

    thread = threading.Thread(target=queue.submit, args=(_upload(store, "c", 100),))
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
