"""Bad volumes and requests to a real server: each is refused in words, and the server is as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import ROOT, Server
from tests.app.corpus import Answer, Case, send
from tests.app.corpus_requests import request_cases
from tests.app.corpus_volumes import volume_cases

VOLUMES, REQUESTS = list(volume_cases()), list(request_cases())
FIELDS = {"type", "title", "status", "detail", "code", "expected", "got", "action", "request_id"}


def test_the_corpus_is_large_and_its_names_differ() -> None:
    names = [case.name for case in (*VOLUMES, *REQUESTS)]
    assert len(set(names)) == len(names) >= 200


@pytest.fixture(scope="module")
def worker(server: Server) -> int:
    """Process id of the worker before the corpus came."""
    pid: int = server.get("/health").json()["workers"][0]["pid"]
    return pid


def leaks(server: Server, text: str) -> list[str]:
    """Of what no client may learn, what the answer holds."""
    secrets = [
        str(server.temporary),
        str(server.studies),
        str(server.data),
        str(ROOT),
        "site-packages",
        "Traceback",
        'File "',
    ]
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("case", [*VOLUMES, *REQUESTS], ids=lambda case: case.name)
def test_nothing_bad_is_taken(server: Server, worker: int, case: Case) -> None:
    answer = send(server.url, case)
    text = answer.body.decode("utf-8", "replace")
    assert answer.status < 500, text[:1000]
    assert not leaks(server, text)
    taken = answer.status in (200, 202) and case.target == "/jobs" and case.method == "POST"
    if case.statuses:
        assert answer.status in case.statuses
    elif case.refused and not taken:
        assert answer.status >= 400, text[:300]
    if answer.status >= 400 and case.method != "HEAD" and "x-request-id" in answer.headers:
        assert_problem(answer)
    if taken:
        assert_ends_well(server, json.loads(text)["id"], refused=case.refused)


def assert_problem(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.body)
    assert document.keys() >= FIELDS
    assert document["status"] == answer.status
    assert document["request_id"] == answer.headers["x-request-id"]


def assert_ends_well(server: Server, job_id: str, *, refused: bool) -> None:
    """An odd volume is worked on, or refused for what it is; one whose voxels are damaged is refused."""
    job = server.wait(job_id)
    assert not leaks(server, json.dumps(job))
    if job["state"] == "failed":
        assert job["error"]["code"] in ("input-refused", "unsuitable-input"), job["error"]
    else:
        assert not refused
        assert job["state"] == "done"


@pytest.fixture(scope="module", autouse=True)
def _whole_afterwards(server: Server, volumes: dict[str, Path]) -> Iterator[None]:
    """After the corpus: the same worker, the same store, nothing left behind, and work goes on."""
    before = server.get("/health").json()["workers"]
    yield
    after = server.get("/health").json()
    assert after["status"] == "ok"
    assert [w["pid"] for w in after["workers"]] == [w["pid"] for w in before]
    assert server.get("/ready").status_code == 200
    job = server.submit({"model": "toy-denoise"}, {"image": volumes["nii"]}).json()
    assert server.wait(job["id"])["state"] == "done"
    server.delete(f"/jobs/{job['id']}")
    assert server.get("/datastore/", params={"output": "all"}).json()["objects"].keys() >= {"head", "packed"}
    assert server.settled() == []
