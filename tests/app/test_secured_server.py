"""`medgan serve` as a department runs it: on every address, with TLS of its own and tokens."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from monailabel_app.access import Role
from monailabel_app.access.tokens import new_token
from tests.app.conftest import ROOT, free_port, serve
from tests.certificates import certificate


@dataclass(frozen=True)
class Secured:
    """The running server, its certificate and its tokens by role."""

    url: str
    cert: Path
    tokens: dict[str, str]

    def ask(self, method: str, path: str, role: str | None = None, **options: Any) -> requests.Response:
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        return requests.request(
            method, self.url + path, headers=headers, verify=str(self.cert), timeout=60, **options
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    cert, key = certificate(folder)
    made = {role.word: new_token(f"a-{role.word}", role) for role in Role}
    tokens = folder / "tokens"
    tokens.write_text("\n".join(entry.line for _, entry in made.values()))
    tokens.chmod(0o600)
    port = free_port()
    command = [*serve(folder), "--host", "0.0.0.0", "--port", str(port), "--studies", str(folder / "studies")]
    command += ["--tls-cert", str(cert), "--tls-key", str(key), "--token-file", str(tokens)]
    environment = {
        **os.environ,
        "MEDGAN_MODELS": str(models),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    running = Secured(f"https://127.0.0.1:{port}", cert, {role: text for role, (text, _) in made.items()})
    try:
        deadline = time.monotonic() + 300
        while True:
            assert process.poll() is None, (folder / "server.log").read_text()[-4000:]
            assert time.monotonic() < deadline
            try:
                running.ask("GET", "/health")
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait(60)


def test_strangers_see_that_it_lives_and_no_more(secured: Secured) -> None:
    assert secured.ask("GET", "/health").json() == {
        "status": "ok",
        "version": None,
        "workers": [],
        "jobs": {},
    }
    assert secured.ask("GET", "/health", "read").json()["workers"]
    for path in ("/models", "/jobs", "/metrics", "/openapi.json", "/docs", "/info/", "/datastore/", "/logs/"):
        answer = secured.ask("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_tls_is_not_optional(secured: Secured) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(secured.url.replace("https", "http") + "/health", timeout=10)


def test_each_role_may_do_its_part(secured: Secured, volumes: dict[str, Path]) -> None:
    def submit(role: str) -> requests.Response:
        files = {
            "request": (None, '{"model": "toy-denoise"}', "application/json"),
            "image": ("a.nii", volumes["nii"].read_bytes()),
        }
        return secured.ask("POST", "/jobs", role, files=files)

    assert submit("read").json()["code"] == "forbidden"
    job = submit("run").json()["id"]
    deadline = time.monotonic() + 120
    while secured.ask("GET", f"/jobs/{job}", "read").json()["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert secured.ask("GET", f"/jobs/{job}/results/image", "read").status_code == 200
    assert secured.ask("DELETE", f"/jobs/{job}", "read").status_code == 403
    assert secured.ask("DELETE", f"/jobs/{job}", "run").status_code == 204
    assert secured.ask("GET", "/logs/", "train").status_code == 403
    assert secured.ask("GET", "/logs/", "admin").status_code == 200


def test_stock_clients_sign_in_with_the_token_as_password(secured: Secured) -> None:
    assert secured.ask("GET", "/auth/").json()["enabled"] is True
    form = {"username": "anybody", "password": secured.tokens["run"], "grant_type": "password"}
    answer = secured.ask("POST", "/auth/token", data=form).json()
    assert answer == {"access_token": secured.tokens["run"], "token_type": "bearer"}
    assert secured.ask("GET", "/auth/token/valid", "run").json() == {"username": "a-run", "roles": ["run"]}
    wrong = secured.ask("POST", "/auth/token", data={**form, "password": "wrong"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
