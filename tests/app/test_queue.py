"""The queue with executors that run in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.work import Study
from monailabel_app.problems import (
    BusyError,
    KeyReusedError,
    NotFoundError,
    StateError,
)
from tests.app.gates import Gate, job, started


@pytest.fixture
def queue(gate: Gate, store: Store) -> Iterator[JobQueue]:
    queue = JobQueue(store, [gate], limit=3)
    queue.start()
    yield queue
    gate.open.set()
    queue.stop()


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


@pytest.mark.parametrize("client", ["y", "x"], ids=["another client's", "its own client's"])
def test_a_batch_makes_way_between_its_studies(
    queue: JobQueue, gate: Gate, store: Store, client: str
) -> None:
    batch = Batch(model="m", images={name: f"{name}.nii" for name in ("p", "q", "r")})
    queue.submit(job(store, "batch", work=batch, client="x"))
    started(gate)
    queue.submit(job(store, "quick", client=client))
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
