"""Jobs on a local Ray with two workers: the same results, progress, cancel and deaths."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from medgan_core import io
from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.training import Training
from monailabel_app.jobs.work import Work
from monailabel_app.jobs.worker import Setup
from tests.app.conftest import EXACT

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
SLOW = {"model": "slow-denoise", "settings": EXACT}


@pytest.fixture(scope="module")
def queue(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobQueue]:
    from monailabel_app.jobs.ray_executor import RayExecutor

    ray.init(address="local", num_cpus=2, log_to_driver=False, include_dashboard=False)
    setup = Setup(device="cpu", models=(models,))
    executors = [RayExecutor(setup, address="local") for _ in range(2)]
    queue = JobQueue(Store(tmp_path_factory.mktemp("ray")), executors)
    queue.start()
    yield queue
    queue.stop()
    ray.shutdown()


def submit(queue: JobQueue, tmp_path: Path, name: str, work: Work) -> None:
    queue.submit(Job(id=name, work=work, folder=tmp_path / name))


def halfway(queue: JobQueue, *names: str) -> None:
    deadline = time.monotonic() + 240
    while not all((p := queue.get(name).progress) and p.stage == "network" for name in names):
        assert not any(queue.get(name).final for name in names)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_gives_its_files_back(queue: JobQueue, volumes: dict[str, Path], tmp_path: Path) -> None:
    inputs = {"image": str(volumes["nii"])}
    submit(queue, tmp_path, "run", Run(model="toy-denoise", inputs=inputs, settings=EXACT))
    done = queue.wait("run", 240)
    assert (done.state, done.device) == ("done", "ray:cpu"), done.error
    result = io.read(done.folder / "results" / done.results["image"])
    assert result.geometry.close_to(io.read(volumes["nii"]).geometry)
    assert np.isfinite(result.data).all()
    assert (done.folder / "results" / "report.json").is_file()


def test_two_jobs_run_at_once_are_watched_and_cancelled_within_a_second(
    queue: JobQueue, volumes: dict[str, Path], tmp_path: Path
) -> None:
    for name in "ab":
        submit(queue, tmp_path, name, Run(**SLOW, inputs={"image": str(volumes["large"])}))
    halfway(queue, "a", "b")
    for name in "ab":
        begin = time.monotonic()
        queue.cancel(name)
        assert queue.wait(name, 10).state == "cancelled"
        assert time.monotonic() - begin < 1.5


def test_a_killed_actor_fails_its_job_and_is_replaced(
    queue: JobQueue, volumes: dict[str, Path], tmp_path: Path
) -> None:
    submit(queue, tmp_path, "doomed", Run(**SLOW, inputs={"image": str(volumes["large"])}))
    halfway(queue, "doomed")
    busy = next(e for e in queue._executors if e.status()["state"] == "busy")
    ray.kill(busy._actor)  # type: ignore[attr-defined]
    failed = queue.wait("doomed", 30)
    assert failed.error is not None
    assert (failed.state, failed.error["code"]) == ("failed", "worker-died")
    images = {name: str(volumes["nii"]) for name in ("p", "q")}
    submit(queue, tmp_path, "batch", Batch(model="toy-denoise", images=images, settings=EXACT))
    done = queue.wait("batch", 240)
    assert [study.state for study in done.studies] == ["done", "done"], done.error
    assert sorted(done.results) == ["001/image", "001/trust", "002/image", "002/trust"]


def test_labels_are_scored_beside_their_references(queue: JobQueue, tmp_path: Path) -> None:
    grid = Geometry((8, 8, 8), np.eye(4))
    files = {}
    for name, high in (("own", 4), ("submitted", 6)):
        voxels = np.zeros(grid.shape, np.float32)
        voxels[2:high] = 1
        files[name] = str(io.write(Volume(voxels, grid), tmp_path / f"{name}.nii"))
    labels, references = {"head": files["submitted"]}, {"head": files["own"]}
    submit(queue, tmp_path, "scores", Scoring(model="dice", labels=labels, references=references))
    done = queue.wait("scores", 60)
    assert done.state == "done", done.error
    report = json.loads((done.folder / "results" / "report.json").read_text(encoding="utf-8"))
    assert report["scores"]["head"] == pytest.approx(2 / 3, abs=1e-6)


def test_a_training_needs_the_server_s_own_disk(queue: JobQueue, tmp_path: Path) -> None:
    submit(queue, tmp_path, "training", Training(model="sngan", data="d", out="o"))
    failed = queue.wait("training", 60)
    assert (failed.state, (failed.error or {})["code"]) == ("failed", "resource")
