"""Room for what comes, before it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.types import Message

from monailabel_app.api import receiving, uploads
from monailabel_app.api.errors import handle_errors
from monailabel_app.api.uploads import receive_form
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.store import Store
from tests.app.gates import job

LIMIT = 1000
QUOTA = 8 << 20


@pytest.fixture
def queue(store: Store) -> JobQueue:
    """Three finished jobs, as large as the quota together."""
    for name in "abc":
        store.put(job(store, name, state="done", finished=datetime.now(UTC), size=QUOTA // 3))
    return JobQueue(store, [], retention=Retention(quota=QUOTA))


@pytest.fixture
def app(tmp_path: Path, queue: JobQueue) -> FastAPI:
    """Addresses that take an image for the store, and a job's volumes."""
    service: Any = SimpleNamespace(private=tmp_path, options=SimpleNamespace(upload_limit=LIMIT), queue=queue)
    app = FastAPI()
    handle_errors(app)

    @app.put("/store")
    async def put(request: Request) -> list[str]:
        async with receiving.received(request, service, into=tmp_path) as form:
            return list(form.texts)

    @app.post("/job")
    async def post(request: Request) -> list[str]:
        async with receiving.room(request, service):
            return list((await receive_form(request, tmp_path / "inputs", limit=LIMIT)).texts)

    return app


def ask(app: FastAPI, method: str, path: str, pieces: Iterable[bytes], announced: int) -> int:
    """The status of the answer to a form that comes in pieces, whose end does not come."""
    messages: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"content-length", str(announced).encode()),
    ]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))
    return int(sent[0]["status"])


@pytest.mark.parametrize(("free", "status"), [(10, 507), (1 << 20, 200)])
def test_what_does_not_fit_on_the_disk_of_the_studies_is_refused_before_it_comes(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, free: int, status: int
) -> None:
    monkeypatch.setattr(receiving, "free_bytes", lambda folder: free)
    answer = TestClient(app).put("/store", files={"note": (None, b"0" * 100)})
    assert answer.status_code == status
    assert answer.json() == ["note"] if status == 200 else answer.json()["code"] == "storage-full"


@pytest.mark.parametrize(
    ("method", "path", "announced", "status"),
    [
        ("PUT", "/store", 4 << 20, 422),
        ("PUT", "/store", 5 << 20, 413),
        ("PUT", "/store", 1 << 60, 413),
        ("POST", "/job", 4 << 20, 422),
        ("POST", "/job", QUOTA + 1, 507),
    ],
)
def test_nothing_goes_for_an_upload_that_is_refused(
    app: FastAPI,
    queue: JobQueue,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    announced: int,
    status: int,
) -> None:
    """Also the client that pauses is answered, and its room is given back."""
    monkeypatch.setattr(uploads, "_DRAIN_S", 0.05)
    monkeypatch.setattr(uploads, "_BLOCK", 1)
    assert ask(app, method, path, [b"no form"], announced) == status
    assert [kept.id for kept in queue.jobs()] == ["a", "b", "c"]
    with queue.room(QUOTA):
        pass


def test_an_upload_that_stands_still_gives_its_room_back(
    app: FastAPI, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_IDLE_S", 0.05)
    assert ask(app, "POST", "/job", [b"--x\r\n"], QUOTA) == 408
    with queue.room(QUOTA):
        pass
    assert [kept.id for kept in queue.jobs()] == ["a", "b", "c"]


def test_the_quota_of_jobs_bounds_no_image_of_the_store(
    app: FastAPI, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue._ledger, "_retention", Retention(quota=1))
    assert TestClient(app).put("/store", files={"note": (None, b"0" * 100)}).status_code == 200
