"""What those who run the server see of it: audit log, metrics, health, request ids."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient

from monailabel_app.access import Client, Role
from monailabel_app.api import health
from monailabel_app.audit import AuditLog, _place
from monailabel_app.bodies import SmallBodies
from monailabel_app.confinement import without_folders
from monailabel_app.tracing import Exchange, RequestTrace
from tests.app.conftest import Server


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def exchange(**changes: Any) -> Exchange:
    usual = {
        "request_id": "r" * 8,
        "method": "GET",
        "path": "/datastore/image",
        "query": b"image=patient-7",
        "route": "/datastore/image",
        "status": 200,
        "problem": "",
        "location": "",
        "client": Client("ward-3", Role.RUN, "10.0.0.7"),
        "received": 0,
        "sent": 10,
        "seconds": 0.1,
    }
    return Exchange(**{**usual, **changes})


# --- audit ----------------------------------------------------------------------------------------------


def test_a_line_says_who_did_what_but_names_no_image(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit")
    audit.exchange(exchange())
    audit.exchange(exchange(query=b"image=another%25s"))
    audit.exchange(exchange())
    audit.close()
    first, other, again = lines(tmp_path / "audit")
    assert (first["client"], first["role"], first["address"]) == ("ward-3", "run", "10.0.0.7")
    assert first["objects"] == again["objects"] != other["objects"]
    assert "patient-7" not in (tmp_path / "audit" / "audit.jsonl").read_text()


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/jobs", "/jobs"),
        ("/jobs/x/results/T2", "/jobs/..."),
        ("/patient-7", None),
        ("/medgan_secret/jobs", None),
        ("/jobsx", None),
    ],
)
def test_a_refused_request_is_named_by_a_word_of_the_servers(
    tmp_path: Path, path: str, route: str | None
) -> None:
    audit = AuditLog(tmp_path)
    audit.exchange(exchange(path=path, route="", status=403))
    audit.close()
    assert lines(tmp_path)[0]["route"] == route


def test_every_address_has_such_a_word(server: Server) -> None:
    for path in server.get("/openapi.json").json()["paths"]:
        assert _place(path), path


def test_the_key_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    first, second = AuditLog(tmp_path / "a"), AuditLog(tmp_path / "a")
    stranger = AuditLog(tmp_path / "b")
    assert first.pseudonym("x") == second.pseudonym("x") != stranger.pseudonym("x")
    assert stat.S_IMODE((tmp_path / "a" / "audit.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"route": "/jobs", "method": "GET"}, False),
        ({"route": "/jobs", "method": "POST"}, True),
        ({"route": "/jobs/{job_id}"}, False),
        ({"route": "/jobs/{job_id}/results/{key}"}, True),
        ({"route": "/session/{session_id}"}, True),
        ({"route": "/models"}, False),
        ({"route": "/models", "status": 401, "client": None}, True),
        ({"route": ""}, False),
    ],
)
def test_what_shows_or_changes_or_is_refused_is_noted(
    tmp_path: Path, changes: dict[str, Any], noted: bool
) -> None:
    audit = AuditLog(tmp_path)
    audit.exchange(exchange(**changes))
    audit.close()
    assert len(lines(tmp_path)) == noted


def test_full_files_are_kept_for_a_while(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path, largest=1000, files=2)
    for _ in range(40):
        audit.exchange(exchange())
    audit.close()
    names = sorted(path.name for path in tmp_path.glob("audit.jsonl*"))
    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.glob("audit.jsonl*"))


def test_a_run_leaves_its_lines(server: Server, volumes: dict[str, Path]) -> None:
    header = {"X-Request-ID": "a-request-of-this-test"}
    files = {
        "request": (None, '{"model": "toy-denoise"}', "application/json"),
        "image": ("PATIENT^NAME.nii", volumes["nii"].read_bytes()),
    }
    answer = server.post("/jobs", files=files, headers=header)
    assert answer.headers["X-Request-ID"] == header["X-Request-ID"]
    uploaded = answer.json()["id"]
    stored = {"request": (None, '{"model": "toy-denoise", "inputs": {"image": "head"}}')}
    by_id = server.post("/jobs", files=stored).json()["id"]
    for job in (uploaded, by_id):
        assert server.wait(job)["state"] == "done"
    named = {"X-Request-ID": "a-download-of-this-test"}
    assert server.get("/datastore/image", params={"image": "head"}, headers=named).status_code == 200
    told, deadline = lines(server.data / "audit"), time.monotonic() + 10
    # A line follows its answer.
    while not {uploaded, by_id} <= {line["job"] for line in told if line["event"] == "job ended"} or not any(
        line.get("request_id") == named["X-Request-ID"] for line in told
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        told = lines(server.data / "audit")
    asked = next(line for line in told if line.get("request_id") == header["X-Request-ID"])
    assert (asked["made"], asked["status"]) == (f"/jobs/{uploaded}", 202)
    submitted = {line["job"]: line for line in told if line["event"] == "job submitted"}
    card = server.get("/models/toy-denoise").json()
    assert submitted[uploaded]["sha256"] == card["weights"]["sha256"]
    assert submitted[uploaded]["inputs"]["image"] != submitted[by_id]["inputs"]["image"]
    download = next(line for line in told if line.get("request_id") == named["X-Request-ID"])
    assert download["objects"] == [submitted[by_id]["inputs"]["image"]], "one id, one pseudonym"
    outcome = next(line for line in told if line["event"] == "job ended" and line["job"] == uploaded)
    assert outcome["outcome"] == "done"
    text = (server.data / "audit" / "audit.jsonl").read_text()
    assert "PATIENT" not in text
    assert '"head"' not in text
    for job in (uploaded, by_id):
        server.delete(f"/jobs/{job}")


# --- metrics and health -----------------------------------------------------------------------------------


def figure(server: Server, name: str) -> float:
    found = [line for line in server.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_metrics_count_what_happens(server: Server, volumes: dict[str, Path]) -> None:
    names = (
        'medgan_job_seconds_count{model="toy-denoise",outcome="done"}',
        'medgan_refused_requests_total{code="unknown-model"}',
        'medgan_request_seconds_count{method="GET",route="/models/{name}",status="404"}',
        "medgan_received_bytes_total",
    )
    before = [figure(server, name) for name in names]
    job = server.submit({"model": "toy-denoise"}, {"image": volumes["nii"]}).json()["id"]
    server.wait(job)
    server.get("/models/nobody")
    assert figure(server, 'medgan_jobs{state="done"}') >= 1
    assert figure(server, "medgan_queue_length") == 0
    after = [figure(server, name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)][:3] == [1, 1, 1]
    assert after[3] - before[3] > volumes["nii"].stat().st_size
    server.delete(f"/jobs/{job}")


def test_unknown_addresses_share_one_figure(server: Server) -> None:
    for n in range(5):
        server.get(f"/nobody-{n}")
    text = server.get("/metrics").text
    assert "nobody-" not in text
    assert 'method="any",route="none",status="404"' in text


def test_a_server_that_cannot_write_is_alive_but_not_ready(server: Server) -> None:
    assert server.get("/ready").json() == {"status": "ready"}
    moved = server.studies.with_name("moved")
    server.studies.rename(moved)
    try:
        answer = server.get("/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "unready")
        assert "studies" in answer.json()["got"]
        assert server.get("/health").json()["status"] == "ok"
    finally:
        moved.rename(server.studies)


def test_a_server_whose_queue_has_ended_is_not_ready(tmp_path: Path) -> None:
    def missing(*, alive: bool) -> list[str]:
        queue = SimpleNamespace(status=lambda: [{"state": "idle"}], alive=alive)
        service = SimpleNamespace(
            queue=queue,
            private=tmp_path,
            studies=tmp_path,
            cards=lambda: (["a card"], []),
        )
        return list(health._missing(service))  # type: ignore[arg-type]

    assert missing(alive=True) == []
    assert missing(alive=False) == ["a thread of the queue has ended, start the server again"]


# --- requests ---------------------------------------------------------------------------------------------


@pytest.fixture
def small() -> TestClient:
    """An app with an address that fails, one that reads its body, and one whose error is plain text."""
    app = FastAPI(middleware=[Middleware(RequestTrace), Middleware(SmallBodies, limit=100)])

    @app.post("/fails")
    def fails() -> None:
        raise RuntimeError("/secret/place")

    @app.post("/echo")
    def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @app.get("/plain")
    def plain() -> Any:
        return PlainTextResponse("no", 416)

    return TestClient(app, raise_server_exceptions=False)


def test_an_error_nobody_foresaw_tells_its_id_and_not_its_text(
    small: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = small.post("/fails")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_errors_of_libraries_become_problem_documents(small: TestClient) -> None:
    answer = small.get("/plain")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (416, 416)


def test_bodies_are_bounded_told_or_not(small: TestClient) -> None:
    assert small.post("/echo", json={"a": 1}).json() == {"a": 1}
    for body in ({"content": b"x" * 101}, {"content": iter([b"x" * 60, b"x" * 60])}):
        answer = small.post("/echo", **body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_an_id_that_would_forge_the_log_is_replaced(small: TestClient) -> None:
    for given in ("short", "x" * 65, "a b c d e f g", "id\u00e9\u00e9\u00e9\u00e9"):
        made = small.get("/plain", headers={"X-Request-ID": given.encode()}).headers["X-Request-ID"]
        assert made != given
        assert len(made) == 32


def test_answers_lose_the_servers_folders() -> None:
    folders = [Path("/data/studies")]
    told = {
        "path": "/data/studies/labels/a.nii",
        "list": ["/etc/x", "/data/studies2/a", 5],
        "text": "a /data",
    }
    cut = {"path": "labels/a.nii", "list": ["/etc/x", "/data/studies2/a", 5], "text": "a /data"}
    assert without_folders(told, folders) == cut
