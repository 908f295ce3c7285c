"""The address of the image to label next: requests share rankings, and what was seen is kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.testclient import TestClient

from medgan_core import engine, io
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from monailabel_app import service as services
from monailabel_app.access import Access, AccessGuard
from monailabel_app.api import activelearning, datastore, jobs
from monailabel_app.api.errors import handle_errors
from monailabel_app.audit import AuditLog
from monailabel_app.job_audit import JobAudit
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.work import Channel, Results, Study
from monailabel_app.service import Options, Service
from monailabel_app.strategies import First, Random, Ranked
from monailabel_app.study_folder import StudyFolder
from tests.app.test_operations import lines
from tests.app.test_ranking import MODEL, write
from tests.models import toy_suggest

IMAGES = [f"i{n}" for n in range(4)]


class Here:
    """An executor in the queue's thread that stops before each image until it is let go on."""

    device = "cpu"

    def __init__(self, registry: Registry) -> None:
        self._session = engine.Session("cpu", registry=registry)
        self.steps, self.runs = threading.Semaphore(0), 0

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        self.steps.release(1000)

    def status(self) -> dict[str, Any]:
        return {"device": self.device, "state": "idle", "pid": None}

    def run(self, job: Job, channel: Channel) -> Results:
        self.runs += 1
        tell = channel.study

        def held(study: Study) -> None:
            tell(study)
            while study.state == "running" and not self.steps.acquire(timeout=0.01):
                if channel.cancelled():
                    return

        channel.study = held  # type: ignore[method-assign]
        return job.work.perform(self._session, job.folder / "results", channel, job.studies)


class Site:
    """A server's part that chooses images, over a store of small ones."""

    def __init__(self, folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        studies = folder / "studies"
        studies.mkdir()
        for seed, name in enumerate(IMAGES):
            write(studies, name, seed=seed)
        self.here = Here(registry)
        monkeypatch.setattr(services, "_executors", lambda options: [self.here])
        options = Options(studies=str(studies), folder=folder / "data", models=registry.folders)
        self.service = Service(options)
        self.store = StudyFolder(str(studies), extensions=["*.nii"])
        ranked = Ranked("epistemic", registry, self.service.stored, lambda: pytest.fail("no thread waits"))
        self.service.start(
            SimpleNamespace(
                datastore=lambda: self.store,
                on_save_label=lambda image, label: None,
                strategies={"first": First(), "random": Random(), "epistemic": ranked},
            )
        )
        app = FastAPI(middleware=[Middleware(AccessGuard, access=Access())])
        app.state.service = self.service
        for part in (activelearning, datastore, jobs):
            app.include_router(part.router)
        handle_errors(app)
        self.client = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))

    def ask(self, strategy: str = "epistemic") -> Any:
        return self.client.post(f"/activelearning/{strategy}", json={})

    def noted(self) -> set[str]:
        return {image for image in IMAGES if MODEL in self.store.get_image_info(image).get("candidate", {})}

    def seen(self) -> int:
        return sum(study.state == "done" for job in self.service.queue.jobs() for study in job.studies)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "models").mkdir()
    toy_suggest(tmp_path / "models")
    made = Site(tmp_path, Registry([tmp_path / "models"]), monkeypatch)
    with made.client:
        yield made
    made.service.close()


def until(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + 30
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_requests_at_the_same_time_share_one_ranking(site: Site) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(site.ask) for _ in range(8)]
        until(lambda: site.here.runs == 1)
        site.here.steps.release(len(IMAGES))
        found = [answer.result(60) for answer in answers]
    assert {answer.status_code for answer in found} == {200}
    assert len({answer.json()["id"] for answer in found}) == 1
    assert site.here.runs == 1
    assert site.noted() == set(IMAGES)


def test_a_cancelled_ranking_answers_a_problem_and_keeps_what_it_saw(site: Site) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.ask)
        site.here.steps.release(2)
        until(lambda: site.seen() == 2)
        (job,) = site.service.queue.jobs()
        site.client.post(f"/jobs/{job.id}/cancel")
        refused = answer.result(60)
    assert refused.status_code == 409
    assert {"type", "title", "detail", "code"} <= set(refused.json())
    assert refused.json()["code"] == "cancelled"
    site.here.steps.release(1000)
    assert site.ask().status_code == 200
    assert [list(job.work.images) for job in site.service.queue.jobs()] == [IMAGES, IMAGES[2:]]  # type: ignore[attr-defined]


def test_what_came_while_a_ranking_ran_is_looked_at_when_nothing_else_is_left(
    site: Site, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.ask)
        until(lambda: site.here.runs == 1)
        for image in IMAGES:
            site.store.save_label(image, str(site.service.stored(image)), "final", {})
        site.store.add_image("new", str(write(tmp_path, "new", seed=20)), {})
        site.here.steps.release(1000)
        found = answer.result(60)
    assert (found.status_code, found.json().get("id")) == (200, "new"), found.text


def test_a_request_that_joined_a_ranking_has_its_own_images_looked_at_too(site: Site, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.ask)
        until(lambda: site.here.runs == 1)
        site.store.add_image("new", str(write(tmp_path, "new", seed=20)), {})
        second = pool.submit(site.ask)
        time.sleep(0.3)
        site.here.steps.release(1000)
        assert [answer.result(60).status_code for answer in (first, second)] == [200, 200]
    assert [list(job.work.images) for job in site.service.queue.jobs()] == [IMAGES, ["new"]]  # type: ignore[attr-defined]


def test_a_request_that_only_joined_a_cancelled_ranking_begins_anew(site: Site) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.ask)
        until(lambda: site.here.runs == 1)
        second = pool.submit(site.ask)
        time.sleep(0.5)  # it has joined by then
        (job,) = site.service.queue.jobs()
        site.client.post(f"/jobs/{job.id}/cancel")
        refused = first.result(60)
        site.here.steps.release(1000)
        found = second.result(60)
    assert (refused.status_code, refused.json()["code"]) == (409, "cancelled")
    assert found.status_code == 200, found.text
    assert site.noted() == set(IMAGES)


def test_a_ranking_is_in_the_audit_log_with_its_client_and_inputs(site: Site, tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit")
    site.service.queue.listeners.append(JobAudit(audit, site.service.registry))
    site.here.steps.release(1000)
    site.ask()
    audit.close()
    submitted = lines(tmp_path / "audit")[0]
    assert (submitted["event"], submitted["kind"]) == ("job submitted", "ranking")
    assert submitted["client"]
    assert len(submitted["inputs"]) == len(IMAGES)


def test_a_client_cannot_write_what_strategies_note(site: Site) -> None:
    about = '{"strategy": {"random": {"ts": "soon"}}, "candidate": 5, "id": "someone-else", "mine": 1}'
    for image in IMAGES:
        site.client.put(f"/datastore/image/info?image={image}", data={"info": about})
    assert site.store.get_image_info("i0")["mine"] == 1
    site.here.steps.release(1000)
    for strategy in ("first", "random", "epistemic"):
        answer = site.ask(strategy)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] in IMAGES
        assert strategy in answer.json()["strategy"]
    assert site.ask("nobody").json()["code"] == "usage"


def test_a_client_cannot_write_what_the_server_notes_of_files(site: Site) -> None:
    about = json.dumps(
        {"ts": "abc", "name": "x", "path": "/", "checks": 1, "user": "y", "dice": 2, "mine": 1}
    )
    label = {"label": ("i0.nii", site.service.stored("i0").read_bytes())}
    site.client.put("/datastore/label?image=i0&tag=own", files=label, data={"params": about})
    site.client.put("/datastore/label/info?label=i0&tag=own", data={"info": about})
    site.client.put("/datastore/image/info?image=i0", data={"info": about})
    for info in (site.store.get_label_info("i0", "own"), site.store.get_image_info("i0")):
        assert info["mine"] == 1
        assert isinstance(info["ts"], int)
        assert info["name"] == "i0.nii"
        assert not {"checks", "user", "dice"} & set(info)
    site.here.steps.release(1000)
    assert site.ask().status_code == 200


def test_a_label_elsewhere_is_stored_with_a_note_and_a_flipped_one_is_turned_back(
    site: Site, tmp_path: Path
) -> None:
    image = io.read(site.service.stored("i0"))
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = image.geometry.shape[0] - 1
    flipped = Volume(image.data[:, ::-1], Geometry(image.geometry.shape, image.geometry.affine @ flip))
    shift = np.eye(4)
    shift[0, 3] = 0.5
    moved = Volume(image.data, Geometry(image.geometry.shape, image.geometry.affine @ shift))
    for volume, note in ((moved, True), (flipped, False)):
        content = io.write(volume, tmp_path / "label.nrrd").read_bytes()
        answer = site.client.put("/datastore/label?image=i0", files={"label": ("label.nrrd", content)})
        assert answer.status_code == 200, answer.text
        assert ("note" in answer.json()) == note
    stored = io.read(Path(site.store.get_label_uri("i0", "final")))
    assert stored.geometry.close_to(image.geometry)
    np.testing.assert_array_equal(stored.data, image.data)
