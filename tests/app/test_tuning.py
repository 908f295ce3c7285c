"""Tuning a published model on the store's studies over REST, with the real server and worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from medgan_core import io
from medgan_core.errors import CancelledError
from medgan_core.training.cohort import FOREIGN
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.translate import Translate
from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs import stretch
from monailabel_app.jobs.work import Paused, Silence
from tests.app.conftest import Server, serve, start, stop
from tests.small_site import publish_toy, write_site

SHORT = {"updates": 60, "lr": 0.003, "batch": 4, "size": 32, "warmup": 2, "validate_every": 20}
LONG = {**SHORT, "updates": 100000}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, volumes: dict[str, Path]) -> Iterator[Server]:
    """A server with two published models and two folders of studies: with pairs, and of one contrast."""
    folder = tmp_path_factory.mktemp("site")
    models = folder / "models"
    publish_toy(models, Denoise(widths=(4, 8)), name="site-denoise")
    publish_toy(models, Translate(widths=(4, 8)), name="site-translate")
    publish_toy(models, HippocampusSuggest(widths=(4, 8)), name="site-suggest")
    write_site(folder / "studies" / "pairs")
    write_site(folder / "studies" / "single", contrasts=("T1",))
    running = start(folder, models, serve(folder), "/health", volumes)
    yield running
    stop(running)


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "site" in request.fixturenames:
        running: Server = request.getfixturevalue("site")
        for job in running.get("/jobs").json()["jobs"]:
            running.delete(f"/jobs/{job['id']}")


def versions(server: Server, name: str) -> dict[str, dict[str, Any]]:
    found = server.get(f"/models/{name}/versions").json()
    return {version["version"]: version for version in found["versions"]}


def used(server: Server, name: str) -> str:
    return next(version for version, found in versions(server, name).items() if found["default"])


def training(server: Server, job_id: str) -> dict[str, Any]:
    """The job as soon as its first losses are there."""
    deadline = time.monotonic() + 120
    while not server.get(f"/jobs/{job_id}/curves").json()["train"]:
        assert time.monotonic() < deadline, server.job(job_id)
        time.sleep(0.1)
    return server.job(job_id)


def test_a_tuned_version_is_measured_comes_into_use_and_one_call_goes_back(site: Server) -> None:
    name = "site-denoise"
    task = site.post(f"/train/{name}", json={"data": "single", "settings": SHORT}).json()
    job = site.wait(task["id"], timeout_s=240)
    assert (job["kind"], job["model"], job["state"]) == ("tune", name, "done"), job
    assert site.get("/train/").json()["status"] == "DONE"
    report = site.get(f"/jobs/{job['id']}/report").json()
    names = [row["name"] for row in report["rows"]]
    assert names[0] == "Version"
    assert names[-1] == "Mean: SSIM"
    assert report["provenance"]["tuned_from"] == "1.0.0"
    curves = site.get(f"/jobs/{job['id']}/curves").json()
    assert [point["step"] for point in curves["train"]] == [20, 40, 60]
    assert [point["step"] for point in curves["validation"]] == [20, 40, 60]
    assert all(point["mae"] > 0 for points in curves.values() for point in points)
    found = versions(site, name)
    assert list(found) == ["1.0.0", "1.0.1"]
    psnr, ssim = found["1.0.1"]["figures"]
    assert (psnr["name"], ssim["name"], psnr["n"]) == ("psnr", "ssim", 1)
    version, _, before = psnr["baseline"].partition(" ")
    assert version == "1.0.0"
    assert psnr["value"] > float(before)
    assert used(site, name) == site.get(f"/models/{name}").json()["version"] == "1.0.1"
    back = site.post(f"/models/{name}/default", json={"version": "1.0.0"})
    assert back.status_code == 200
    assert [(v["version"], v["default"]) for v in back.json()["versions"]] == [
        ("1.0.0", True),
        ("1.0.1", False),
    ]
    assert site.get(f"/models/{name}").json()["version"] == "1.0.0"
    assert (site.data / "jobs" / job["id"] / "run" / "metrics.jsonl").is_file()
    site.delete(f"/jobs/{job['id']}")
    assert site.settled() == [], "a run goes with its job"
    assert list(versions(site, name)) == ["1.0.0", "1.0.1"], "its version stays"


def test_a_translator_is_tuned_on_pairs_and_used_on_request(site: Server) -> None:
    params = {"data": "pairs", "settings": {**SHORT, "updates": 1, "lr": 0.0}, "default": True}
    task = site.post("/train/site-translate", json=params).json()
    job = site.wait(task["id"], timeout_s=240)
    assert (job["state"], job["verdict"]) == ("done", "caution"), job
    assert used(site, "site-translate") == "1.0.1"
    assert "not better" in site.get(f"/jobs/{job['id']}/report").json()["rows"][0]["value"]


def test_a_submitted_label_with_foreign_values_costs_the_others_nothing(site: Server, tmp_path: Path) -> None:
    grid = Geometry((32, 36, 32), np.eye(4))
    for number, name in enumerate(("crop_1", "crop_2", "crop_3")):
        labels = np.zeros(grid.shape, np.float32)
        labels[8:24, 8:24, 8:16], labels[8:24, 8:24, 16:24] = (6, 7) if number == 1 else (1, 2)
        noise = np.random.default_rng(number).normal(0, 5, grid.shape)
        put(site, "image", name, io.write(Volume(100 + 40 * labels + noise, grid), tmp_path / "image.nii"))
        put(site, "label", name, io.write(Volume(labels, grid), tmp_path / "label.nii"))
    answer = site.post("/train/site-suggest", json={"settings": {"updates": 2, "batch": 4}})
    assert answer.ok, answer.text
    task = answer.json()
    job = site.wait(task["id"], timeout_s=240)
    assert job["state"] == "done", job
    rows = site.get(f"/jobs/{job['id']}/report").json()["rows"]
    assert [(row["value"], row["limit"]) for row in rows if "left out" in row["name"]] == [(1, FOREIGN)]


def put(server: Server, kind: str, name: str, file: Path) -> None:
    part = {"image": "file", "label": "label"}[kind]
    answer = requests.put(
        f"{server.url}/datastore/{kind}",
        params={"image": name},
        files={part: (file.name, file.read_bytes())},
        timeout=60,
    )
    assert answer.ok, answer.text


def test_a_cancelled_tuning_changes_no_model(site: Server) -> None:
    before = versions(site, "site-denoise")
    task = site.post("/train/site-denoise", json={"data": "single", "settings": LONG}).json()
    assert training(site, task["id"])["stage"].startswith("training")
    begin = time.monotonic()
    assert site.post(f"/jobs/{task['id']}/cancel").json()["state"] == "cancelled"
    assert time.monotonic() - begin < 5
    assert versions(site, "site-denoise") == before


@pytest.mark.parametrize(
    ("model", "params", "code", "said"),
    [
        ("nobody", {}, "unknown-model", "no model and no recipe"),
        ("site-translate", {}, "usage", "PATIENT_T1.nii.gz"),
        ("site-translate", {"data": "single"}, "usage", "on one grid"),
        ("site-denoise", {"data": "outside"}, "usage", "outside of the studies folder"),
        ("site-denoise", {"data": "..", "settings": SHORT}, "usage", "below the studies folder"),
        ("site-denoise", {"data": "single", "settings": {"patience": 3}}, "usage", "cannot be chosen"),
        ("site-denoise", {"data": "single", "settings": {"colour": 3}}, "usage", "no setting 'colour'"),
        ("site-denoise", {"data": "single", "max_minutes": 3}, "usage", "no limit of time"),
        ("site-denoise", {"data": "single", "settings": {"updates": 0}}, "usage", "above 0"),
        ("site-denoise", {"data": "single", "settings": {"updates": -5}}, "usage", "above 0"),
        ("site-denoise", {"data": "single", "settings": {"batch": 0}}, "usage", "above 0"),
        ("site-denoise", {"data": "single", "settings": {"lr": -1}}, "usage", "0 or more"),
        ("site-denoise", {"data": "single", "settings": {"lr": "nan"}}, "usage", "'lr' is not valid"),
        ("site-denoise", {"data": "single", "settings": {"seed": -1}}, "usage", "0 or more"),
    ],
)
def test_what_cannot_be_tuned_is_refused_at_once(
    site: Server, model: str, params: dict[str, Any], code: str, said: str
) -> None:
    outside = site.studies / "outside"
    outside.mkdir(exist_ok=True)
    rows = ["set,patient,visit,key,kind,split,path", "s,a,,T1,image,train,../../elsewhere_T1.nii.gz"]
    rows.append("s,b,,T1,image,val,../single/p1_T1.nii.gz")
    (outside / "manifest.csv").write_text("\n".join(rows))
    shutil.copy(site.studies / "single" / "p0_T1.nii.gz", site.studies.parent / "elsewhere_T1.nii.gz")
    answer = site.post(f"/train/{model}", json=params)
    assert answer.json()["code"] == code, answer.text
    assert said in answer.json()["detail"]
    assert str(site.studies) not in answer.text
    assert site.get("/jobs").json()["jobs"] == []


def test_a_version_that_is_not_there_does_not_come_into_use(site: Server) -> None:
    before = used(site, "site-denoise")
    for name, body, status in (
        ("site-denoise", {"version": "9.9.9"}, 422),
        ("site-denoise", {"version": "../1.0.0"}, 422),
        ("site-denoise", {}, 422),
        ("nobody", {"version": "1.0.0"}, 404),
    ):
        assert site.post(f"/models/{name}/default", json=body).status_code == status
    assert used(site, "site-denoise") == before
    assert site.get("/models/nobody/versions").status_code == 404


def test_only_trainings_have_curves(site: Server, volumes: dict[str, Path]) -> None:
    job = site.submit({"model": "site-denoise"}, {"image": volumes["nii"]}).json()
    answer = site.get(f"/jobs/{job['id']}/curves")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_an_interrupted_tuning_goes_on_after_a_restart(tmp_path: Path, volumes: dict[str, Path]) -> None:
    models = tmp_path / "models"
    publish_toy(models, Denoise(widths=(4, 8)), name="site-denoise")
    write_site(tmp_path / "studies" / "single", contrasts=("T1",))
    server = start(tmp_path, models, serve(tmp_path), "/health", volumes)
    try:
        params = {"data": "single", "settings": {**SHORT, "updates": 160}}
        job_id = server.post("/train/site-denoise", json=params).json()["id"]
        training(server, job_id)
    finally:
        assert stop(server) == 0
    server = start(tmp_path, models, serve(tmp_path), "/health", volumes)
    try:
        assert server.job(job_id)["state"] == "interrupted"
        assert server.get(f"/jobs/{job_id}/curves").json()["train"], "the run stays"
        assert server.post(f"/jobs/{job_id}/resubmit").status_code == 202
        assert server.wait(job_id, timeout_s=240)["state"] == "done"
        assert list(versions(server, "site-denoise")) == ["1.0.0", "1.0.1"]
    finally:
        stop(server)


class Waited(Silence):
    """A channel on which another client always waits."""

    def __init__(self, *, cancelled: bool = False) -> None:
        self._cancelled = cancelled

    def wanted(self) -> bool:
        return True

    def cancelled(self) -> bool:
        return self._cancelled


def test_a_stretch_makes_way_only_after_a_while_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    asked: list[bool] = []

    def work(pauses: Any) -> None:
        nonlocal now
        now += 500  # spent on reading, before it asks first
        asked.append(pauses())
        now += stretch.STRETCH_S - 1
        asked.append(pauses())
        now += 2
        asked.append(pauses())
        raise CancelledError

    with pytest.raises(Paused):
        stretch.stretch(Waited(), work)
    assert asked == [False, False, True]
    with pytest.raises(CancelledError):
        stretch.stretch(Waited(cancelled=True), work)
