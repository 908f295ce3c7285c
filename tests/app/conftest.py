"""Real servers on free loopback ports, with small real models."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from medgan_core import io
from medgan_core.registry import Registry, save
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs.store import Store
from tests.app.gates import Gate
from tests.models import TRAINING, toy_denoise, toy_translate

ROOT = Path(__file__).parents[2]
EXACT = {"backend": "torch", "precision": "fp32"}
# The command as `medgan serve` has it, also where the package is not installed (no entry points).
SERVE = """
import typer
from monailabel_app.cli import register
app = typer.Typer()
app.callback()(lambda: None)
register(app)
app()
"""


@dataclass(frozen=True)
class Server:
    """A running server process and the folders it was given."""

    url: str
    process: subprocess.Popen[bytes]
    temporary: Path
    studies: Path
    data: Path
    log: Path

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, **{"timeout": 60, **options})

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, **{"timeout": 120, **options})

    def delete(self, path: str) -> requests.Response:
        return requests.delete(self.url + path, timeout=60)

    def submit(self, body: Mapping[str, Any], files: Mapping[str, Path]) -> requests.Response:
        parts: list[tuple[str, Any]] = [("request", (None, json.dumps(body), "application/json"))]
        parts += [(key, (path.name, path.read_bytes())) for key, path in files.items()]
        return self.post("/jobs", files=parts)

    def job(self, job_id: str) -> dict[str, Any]:
        document: dict[str, Any] = self.get(f"/jobs/{job_id}").json()
        return document

    def wait(self, job_id: str, *states: str, timeout_s: float = 90.0) -> dict[str, Any]:
        """The job's document as soon as it is in one of the states (default: a final one)."""
        wanted, deadline = (
            states or ("done", "failed", "cancelled", "interrupted"),
            time.monotonic() + timeout_s,
        )
        while (job := self.job(job_id))["state"] not in wanted:
            assert time.monotonic() < deadline, f"{job}\n{self.log.read_text()[-4000:]}"
            time.sleep(0.02)
        return job

    def left_over(self) -> list[str]:
        """Files of uploads and results that lie in the server's folders."""
        found = []
        for place in (self.data / "jobs", self.data / "received"):
            for folder, _, files in os.walk(place):
                found += [str((Path(folder) / file).relative_to(self.data)) for file in files]
        # Not with `rglob`: it stumbles over folders that are just being deleted.
        for folder, _, files in os.walk(self.temporary):
            place = Path(folder)
            # Not the server's copy of the app with its log; beside them lie MONAI Label's log settings.
            if place != self.temporary and place.name not in ("app", "logs"):
                found += [str((place / file).relative_to(self.temporary)) for file in files]
            elif place == self.temporary:
                found += [file for file in files if Path(file).suffix not in ("", ".json")]
        return sorted(found)

    def settled(self) -> list[str]:
        """What is left over once background work had a moment to clean up."""
        deadline = time.monotonic() + 3
        while (files := self.left_over()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return files


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    toy_translate(folder, name="toy-translate")
    toy_denoise(folder, name="toy-denoise")
    slow_denoise(folder)
    return folder


def slow_denoise(folder: Path) -> None:
    """A denoising network so wide that a large volume takes a while on any machine."""
    recipe = Denoise(widths=(64, 128, 256))
    card = recipe.card(TRAINING)
    card = replace(card, name="slow-denoise", domain=replace(card.domain, gate=""))
    save(folder / card.name, card, recipe.network())


@pytest.fixture(scope="session")
def registry(models: Path) -> Registry:
    return Registry([models])


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small oblique, anisotropic head-like volume in three formats, and a large one."""
    folder = tmp_path_factory.mktemp("volumes")
    small = phantom((48, 44, 36))
    paths = {kind: folder / f"head.{kind}" for kind in ("nii", "nii.gz", "nrrd")}
    for path in paths.values():
        io.write(small, path)
    io.write(phantom((160, 160, 128)), folder / "large.nii")
    return {**paths, "large": folder / "large.nii"}


def phantom(shape: tuple[int, int, int]) -> Volume:
    """An ellipsoid with shells of its own intensity, on an oblique anisotropic grid of 180 mm."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt((i / 0.8) ** 2 + (j / 0.85) ** 2 + (k / 0.75) ** 2)
    data = np.where(radius < 1, 300 + 400 * np.cos(4 * radius) ** 2 + 60 * np.sin(9 * i * j), 0.0)
    data += np.random.default_rng(0).normal(0, 4, shape) * (radius < 1)
    a, b = np.deg2rad(17.0), np.deg2rad(-8.0)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    turn = turn @ np.array([[1.0, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-180 / n for n in shape[:2]] + [180 / shape[2]])
    affine[:3, 3] = (81.25, 77.5, -60.125)
    return Volume(data.astype(np.float32), Geometry(shape, affine))


def serve(folder: Path) -> list[str]:
    """`medgan serve` with its data in `folder`."""
    return [sys.executable, "-c", SERVE, "serve", "--device", "cpu", "--data-dir", str(folder / "data")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path, models: Path, command: list[str], ready: str, volumes: dict[str, Path]) -> Server:
    """Start a server whose temporary, session and studies folders lie in `folder`; wait until it answers."""
    temporary, studies = folder / "temporary", folder / "studies"
    temporary.mkdir(exist_ok=True)
    studies.mkdir(exist_ok=True)
    shutil.copy(volumes["nii"], studies / "head.nii")
    shutil.copy(volumes["nii.gz"], studies / "packed.nii.gz")
    port = free_port()
    environment = {
        **os.environ,
        **{name: str(temporary) for name in ("TMPDIR", "TMP", "TEMP")},
        "MEDGAN_MODELS": str(models),
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "--studies", str(studies), "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process, temporary, studies, folder / "data", log)
    try:
        _wait_until_ready(server, ready)
    except BaseException:
        process.kill()
        raise
    return server


def _wait_until_ready(server: Server, path: str) -> None:
    """Until the server answers; imports alone take minutes on a machine that is busy with something else."""
    deadline = time.monotonic() + 300
    while True:
        assert server.process.poll() is None, server.log.read_text()[-4000:]
        assert time.monotonic() < deadline, server.log.read_text()[-4000:]
        try:
            if server.get(path, timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)


def stop(server: Server) -> int:
    """End a server as Ctrl-C does, and return its exit status."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)
    try:
        return server.process.wait(60)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, models: Path, volumes: dict[str, Path]
) -> Iterator[Server]:
    """`medgan serve`, uploads limited to 64 MB."""
    folder = tmp_path_factory.mktemp("serve")
    command = [*serve(folder), "--max-upload-mb", "64"]
    running = start(folder, models, command, "/health", volumes)
    yield running
    stop(running)


@pytest.fixture(scope="session")
def stock(
    tmp_path_factory: pytest.TempPathFactory, models: Path, volumes: dict[str, Path]
) -> Iterator[Server]:
    """MONAI Label's own server with the app, from a copy: it makes folders beside `main.py`."""
    folder = tmp_path_factory.mktemp("stock")
    app = folder / "app" / "monailabel_app"
    shutil.copytree(
        ROOT / "monailabel_app", app, ignore=shutil.ignore_patterns("__pycache__", "logs", "model")
    )
    command = [
        sys.executable,
        "-m",
        "monailabel.main",
        "start_server",
        "--host",
        "127.0.0.1",
        "--app",
        str(app),
    ]
    running = start(folder, models, command, "/info/", volumes)
    yield running
    stop(running)


@pytest.fixture(autouse=True)
def _no_jobs_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails half-way must not make the next ones fail."""
    yield
    if "server" in request.fixturenames or "[server" in request.node.name:
        running: Server = request.getfixturevalue("server")
        for job in running.get("/jobs").json()["jobs"]:
            running.delete(f"/jobs/{job['id']}")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)
