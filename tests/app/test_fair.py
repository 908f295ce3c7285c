"""Turns of clients."""

from __future__ import annotations

from monailabel_app.jobs.fair import FairQueue


def queue(*jobs: str) -> FairQueue:
    """Jobs are named by their client's letter and a number."""
    waiting = FairQueue()
    for job in jobs:
        waiting.push(job[0], job)
    return waiting


def test_clients_take_turns_and_their_own_jobs_keep_their_order() -> None:
    waiting = queue("a1", "a2", "a3", "b1", "c1", "b2")
    expected = ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert waiting.order() == expected
    assert [waiting.pop() for _ in expected] == expected
    assert len(waiting) == 0


def test_who_comes_new_is_next_however_many_another_has_waiting() -> None:
    waiting = queue("a1", "a2", "a3")
    assert waiting.pop() == "a1"
    waiting.push("b", "b1")
    assert waiting.order() == ["b1", "a2", "a3"]


def test_who_comes_back_after_each_job_does_not_pass_who_waits_longer() -> None:
    waiting = queue("a1")
    assert waiting.pop() == "a1"
    waiting.push("b", "b1")
    waiting.push("b", "b2")
    assert waiting.pop() == "b1"
    waiting.push("a", "a2")
    assert waiting.pop() == "a2", "a was served longer ago than b"
    waiting.push("a", "a3")
    assert waiting.pop() == "b2"


def test_a_paused_job_goes_on_before_its_clients_others() -> None:
    waiting = queue("a1", "a2", "b1")
    assert waiting.pop() == "a1"
    waiting.push("a", "a1", front=True)
    assert waiting.order() == ["b1", "a1", "a2"]
    assert waiting.wants("a", patient=False)
    assert waiting.remove("b1")
    assert not waiting.remove("b1")
    assert not waiting.wants("a", patient=False)
    assert (waiting.count("a"), waiting.count("b")) == (2, 0)


def test_the_order_told_is_the_order_kept() -> None:
    waiting = queue(*(f"{client}{n}" for n in range(4) for client in "ddcba"))
    waiting.pop()
    told = waiting.order()
    assert [waiting.pop() for _ in told] == told


def test_what_a_client_waits_for_comes_before_its_own_training() -> None:
    waiting = queue("a1")
    waiting.push("a", "a2", patient=True)
    waiting.push("a", "a3")
    assert waiting.order() == ["a1", "a3", "a2"]
    assert [waiting.pop(), waiting.pop()] == ["a1", "a3"]
    assert not waiting.wants("a", patient=True), "trainings do not interrupt each other"
    assert waiting.pop() == "a2"
    waiting.push("a", "a4")
    assert waiting.wants("a", patient=True)
    assert not waiting.wants("a", patient=False), "a run does not interrupt a run"
    waiting.push("a", "a2", front=True, patient=True)
    assert [waiting.pop(), waiting.pop()] == ["a4", "a2"]
