"""Workers that are cancelled, killed and frozen, in a server that must not notice much."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import psutil

from tests.app.conftest import EXACT, Server

SLOW = {"model": "slow-denoise", "settings": EXACT}
QUICK = {"model": "toy-denoise", "settings": EXACT}


def running(server: Server, volumes: dict[str, Path]) -> str:
    """Id of a job that is in the middle of the network."""
    job_id: str = server.submit(SLOW, {"image": volumes["large"]}).json()["id"]
    deadline = time.monotonic() + 60
    while (job := server.job(job_id))["fraction"] < 0.2 or job["stage"] != "network":
        assert job["state"] in ("queued", "running"), job
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job_id


def worker(server: Server) -> psutil.Process:
    (status,) = server.get("/health").json()["workers"]
    return psutil.Process(status["pid"])


def assert_works(server: Server, volumes: dict[str, Path]) -> None:
    job = server.wait(server.submit(QUICK, {"image": volumes["nii"]}).json()["id"])
    assert job["state"] == "done", job
    server.delete(f"/jobs/{job['id']}")
    assert server.settled() == []


def test_cancel_is_honoured_within_a_second_and_keeps_the_worker(
    server: Server, volumes: dict[str, Path]
) -> None:
    job_id = running(server, volumes)
    before, start = worker(server).pid, time.monotonic()
    job = server.post(f"/jobs/{job_id}/cancel").json()
    assert time.monotonic() - start < 1.0
    assert (job["state"], job["results"]) == ("cancelled", [])
    assert worker(server).pid == before, "steps are shorter than the time a worker is given"
    assert server.post(f"/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    server.delete(f"/jobs/{job_id}")
    assert_works(server, volumes)


def test_deleting_a_running_job_stops_it(server: Server, volumes: dict[str, Path]) -> None:
    job_id = running(server, volumes)
    start = time.monotonic()
    assert server.delete(f"/jobs/{job_id}").status_code == 204
    assert time.monotonic() - start < 1.0
    assert server.get(f"/jobs/{job_id}").status_code == 404
    assert_works(server, volumes)


def test_a_worker_that_does_not_react_is_replaced(server: Server, volumes: dict[str, Path]) -> None:
    job_id = running(server, volumes)
    frozen = worker(server)
    frozen.suspend()
    start = time.monotonic()
    job = server.post(f"/jobs/{job_id}/cancel").json()
    assert time.monotonic() - start < 1.5
    assert job["state"] == "cancelled"
    assert not psutil.pid_exists(frozen.pid)
    server.delete(f"/jobs/{job_id}")
    assert_works(server, volumes)


def test_a_killed_worker_fails_its_job_alone(server: Server, volumes: dict[str, Path]) -> None:
    job_id = running(server, volumes)
    waiting = server.submit(QUICK, {"image": volumes["nii"]}).json()
    assert (waiting["state"], waiting["position"]) == ("queued", 1)
    worker(server).kill()
    job = server.wait(job_id, timeout_s=5)
    assert (job["state"], job["error"]["code"]) == ("failed", "worker-died")
    assert job["error"]["action"]
    assert server.wait(waiting["id"])["state"] == "done"
    for done in (job_id, waiting["id"]):
        server.delete(f"/jobs/{done}")
    assert server.settled() == []


def test_jobs_run_in_the_order_they_came(server: Server, volumes: dict[str, Path]) -> None:
    first = running(server, volumes)
    ids = [server.submit(QUICK, {"image": volumes["nii"]}).json()["id"] for _ in range(3)]
    assert [server.job(job_id)["position"] for job_id in ids] == [1, 2, 3]
    assert server.post(f"/jobs/{ids[0]}/cancel").json()["state"] == "cancelled"
    assert [server.job(job_id)["position"] for job_id in ids] == [None, 1, 2]
    server.delete(f"/jobs/{first}")
    done = [server.wait(job_id) for job_id in ids[1:]]
    assert done[0]["finished"] <= done[1]["started"]
    assert [job["id"] for job in server.get("/jobs").json()["jobs"]] == ids
    for job_id in ids:
        server.delete(f"/jobs/{job_id}")


def test_nothing_waits_for_a_running_job(server: Server, volumes: dict[str, Path]) -> None:
    """Also not for a stock client's infer, which waits for its own answer."""
    job_id = running(server, volumes)
    answers = []
    infer = threading.Thread(
        target=lambda: answers.append(server.post("/infer/toy-denoise?image=head&output=json"))
    )
    infer.start()
    seconds = []
    for path in ("/health", "/info/", "/models", "/datastore/", f"/jobs/{job_id}") * 8:
        start = time.monotonic()
        assert server.get(path).status_code == 200
        seconds.append(time.monotonic() - start)
    assert server.job(job_id)["state"] == "running", "the job ended before the requests did"
    assert not answers
    assert statistics.median(seconds) < 0.1
    assert max(seconds) < 1.0
    server.delete(f"/jobs/{job_id}")
    infer.join(60)
    assert answers[0].status_code == 200, answers[0].text
    assert server.settled() == []
