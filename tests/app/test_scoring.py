"""Checks of submitted labels and choices of the next image, at MONAI Label's addresses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from medgan_core import engine, io
from medgan_core.errors import CancelledError
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs.files import remove_half_done
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.work import Paused, Silence, Study
from monailabel_app.scoring import note_scores, read_scores, scoring_work
from monailabel_app.strategies import First, Random
from monailabel_app.study_folder import StudyFolder
from tests.app.conftest import Server
from tests.models import toy_suggest

SHAPE = (40, 36, 20)
GRID = Geometry(SHAPE, np.diag([2.0, 2.0, 4.0, 1.0]))
USUAL, SMALL = ("a", "b", "c", "d", "e"), "small"


def organ(size: int = 10) -> NDArray[Any]:
    labels = np.zeros(SHAPE, np.float32)
    labels[4 : 4 + size, 5 : 5 + size, 3:9] = 1
    return labels


def image_of(labels: NDArray[Any], seed: int) -> NDArray[Any]:
    noise = np.random.default_rng(seed).normal(0, 20, SHAPE)
    return np.asarray(100 + 80 * labels + noise, np.float32)


def write(path: Path, data: NDArray[Any], grid: Geometry = GRID) -> Path:
    return io.write(Volume(data, grid), path)


@pytest.fixture(scope="module")
def labelled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server with images of one organ and submitted labels; most are wrong, each in its own way."""
    folder = tmp_path_factory.mktemp("labels")
    submitted = {name: organ(9 + n % 2) for n, name in enumerate(USUAL)}
    submitted |= {SMALL: organ(2), "empty": np.zeros(SHAPE, np.float32), "mirrored": organ()[::-1].copy()}
    submitted |= {"fractions": organ() * np.float32(0.5)}
    for seed, (name, labels) in enumerate(submitted.items()):
        put(server, "image", name, write(folder / f"{name}.nii", image_of(organ(), seed)))
        put(server, "label", name, write(folder / f"{name}-label.nii", labels), tag="final")
    put(server, "image", "shifted", write(folder / "shifted.nii", image_of(organ(), 20)))
    elsewhere = Geometry(SHAPE, np.diag([2.0, 2.0, 4.0, 1.0]) + np.eye(4, k=3) * 6)
    put(server, "label", "shifted", write(folder / "shifted-label.nii", organ(), elsewhere), tag="final")
    # What a model's own segmentations are called when a batch leaves them in the store.
    put(server, "label", "a", write(folder / "own.nii", organ(10)), tag="original")
    put(server, "label", "empty", write(folder / "none.nii", organ() * 0), tag="original")
    yield server
    for name in (*submitted, "shifted"):
        assert server.delete(f"/datastore/?id={name}").ok


def put(server: Server, kind: str, name: str, file: Path, **more: str) -> None:
    part = "file" if kind == "image" else "label"
    with file.open("rb") as stream:
        answer = requests.put(
            f"{server.url}/datastore/{kind}",
            params={"image": name, **more},
            files={part: (f"{name}.nii", stream)},
            timeout=60,
        )
    assert answer.ok, answer.text


def test_each_wrong_label_is_found_and_no_other(labelled: Server) -> None:
    scores = labelled.post("/scoring/labels", params={"run_sync": True}).json()
    assert {name: scores[name]["verdict"] for name in USUAL} == dict.fromkeys(USUAL, "pass")
    findings = {name: score["findings"] for name, score in scores.items() if score["findings"]}
    assert set(findings) == {SMALL, "empty", "mirrored", "shifted"}
    assert findings["empty"] == ["Labels: 0"]
    assert findings["mirrored"] == ["Mirrored: along i"]
    assert findings["shifted"] == ["On the image's grid: no"]
    assert [text.split(":")[0] for text in findings[SMALL]] == ["Volume of label 1"]
    assert scores["b"]["volumes_ml"] == {"1": pytest.approx(10 * 10 * 6 * 0.016)}
    info = labelled.get("/datastore/label/info", params={"label": "empty", "tag": "final"}).json()
    assert info["checks"] == scores["empty"]


def test_a_label_that_is_none_fails_alone(labelled: Server) -> None:
    task = labelled.post("/scoring/labels").json()
    job = labelled.wait(task["id"], timeout_s=120)
    assert (job["kind"], job["state"], job["verdict"]) == ("scoring", "done", "fail")
    states = {study["image"]: study["state"] for study in job["studies"]}
    assert states.pop("fractions") == "failed"
    assert set(states.values()) == {"done"}
    state = labelled.get("/scoring/").json()
    assert (state["id"], state["status"]) == (task["id"], "DONE")
    one = labelled.get(f"/jobs/{job['id']}/report", params={"study": "mirrored"}).json()
    assert {row["name"]: row["verdict"] for row in one["rows"]}["Mirrored"] == "caution"


def test_dice_compares_with_the_models_own(labelled: Server) -> None:
    scores = labelled.post("/scoring/dice", params={"run_sync": True}).json()
    assert scores == {"a": pytest.approx(2 * 81 / (81 + 100), abs=1e-6), "empty": None}
    assert labelled.get("/datastore/image/info", params={"image": "a"}).json()["dice"] == scores["a"]
    assert labelled.post("/scoring/dice", params={"run_sync": True}, json={"y_pred": "none"}).json() == {}


def test_all_methods_at_once(labelled: Server) -> None:
    found = labelled.post("/scoring/", params={"run_sync": True}, json={"dice": {"y_pred": "none"}}).json()
    assert found["dice"] == {"result": {}, "detail": None}
    assert "mirrored" in found["labels"]["result"]


def test_the_stock_server_scores_as_well(stock: Server, tmp_path: Path) -> None:
    put(stock, "image", "organ", write(tmp_path / "organ.nii", image_of(organ(), 1)))
    put(stock, "label", "organ", write(tmp_path / "label.nii", organ()[:, ::-1].copy()), tag="final")
    scores = stock.post("/scoring/labels", params={"run_sync": True}).json()
    assert scores["organ"]["findings"] == ["Mirrored: along j"]
    info = stock.get("/datastore/label/info", params={"label": "organ", "tag": "final"}).json()
    assert info["checks"] == scores["organ"]


@pytest.mark.parametrize("params", [{"y": "../final"}, {"y": 3}, {"y_pred": "a/b"}])
def test_a_tag_that_is_none_is_refused(server: Server, params: dict[str, Any]) -> None:
    answer = server.post("/scoring/dice", json=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "usage")


def test_methods_and_strategies_are_told(server: Server) -> None:
    info = server.get("/info/").json()
    assert sorted(info["scoring"]) == ["dice", "labels"]
    assert sorted(info["strategies"]) == ["diversity", "epistemic", "first", "random"]
    assert server.get("/scoring/").status_code == 404
    assert server.post("/scoring/nobody").json()["code"] == "not-found"


@pytest.mark.parametrize("strategy", ["first", "random"])
def test_the_next_image_has_no_label(labelled: Server, strategy: str) -> None:
    chosen = {labelled.post(f"/activelearning/{strategy}").json()["id"] for _ in range(4)}
    assert chosen <= {"head", "packed"}
    assert strategy == "random" or chosen == {"head"}


class Images:
    """A datastore of images without labels, and when each was given out."""

    def __init__(self, served: Mapping[str, float]) -> None:
        self._served = served

    def get_unlabeled_images(self) -> list[str]:
        return list(self._served)

    def get_image_info(self, image: str) -> dict[str, Any]:
        return {"strategy": {"random": {"ts": self._served[image]}}}


def test_strategies_choose_nothing_from_nothing_and_rarely_what_was_just_given_out() -> None:
    request, now = {"strategy": "random"}, time.time()
    assert First()(request, Images({})) is None
    assert Random()(request, Images({})) is None
    assert Random()(request, Images({"only": now})) == {"id": "only", "weight": 1}
    assert {Random()(request, Images({"new": now, "old": 0}))["id"] for _ in range(50)} == {"old"}  # type: ignore[index]


class Turns(Silence):
    """Another client waits; notes what is said of studies."""

    def __init__(self) -> None:
        self.told: dict[str, Study] = {}

    def study(self, study: Study) -> None:
        self.told[study.image] = study

    def wanted(self) -> bool:
        return True


class Cancelled(Silence):
    """Nobody waits any more."""

    def cancelled(self) -> bool:
        return True


@pytest.fixture
def three(tmp_path: Path) -> Scoring:
    labels = {str(n): str(write(tmp_path / f"{n}.nii", organ())) for n in range(3)}
    return Scoring(model="dice", labels=labels, references=labels)


@pytest.fixture
def suggesting(tmp_path: Path) -> engine.Session:
    toy_suggest(tmp_path / "models")
    return engine.Session(device="cpu", registry=Registry([tmp_path / "models"]))


def test_labels_are_compared_with_what_a_model_suggests_now(
    tmp_path: Path, suggesting: engine.Session
) -> None:
    grid = Geometry((36, 44, 32), np.eye(4))
    image = Volume(np.random.default_rng(0).normal(100, 20, grid.shape).astype(np.float32), grid)
    files = {"crop": str(io.write(image, tmp_path / "crop.nii"))}
    card = suggesting.model("hippocampus-suggest").card
    own = engine.run(suggesting, card.name, {card.inputs[0].key: image}, engine.RunOptions())
    suggested = own.volumes[card.outputs[0].key]
    assert suggested.data.any()
    corrected = suggested.data[0].copy()
    corrected[:18] = 0
    scores = {}
    for name, label in (("same", suggested), ("corrected", Volume(corrected, grid))):
        labels = {"crop": str(io.write(label, tmp_path / f"{name}.nii"))}
        work = Scoring(model="dice", labels=labels, images=files, predictor=card.name)
        work.perform(suggesting, tmp_path / name, Silence(), ())
        scores[name] = read_scores(tmp_path / name)["crop"]
    assert scores["same"] == 1
    assert 0 < scores["corrected"] < 1


def test_no_name_is_the_first_model_that_suggests(tmp_path: Path, suggesting: engine.Session) -> None:
    (tmp_path / "a.nii").write_bytes(b"image")
    store, registry = StudyFolder(str(tmp_path), extensions=["*.nii"]), suggesting.registry
    work = scoring_work(store, Path, registry, "dice", {"model": ""})
    assert work.predictor == "hippocampus-suggest"
    assert scoring_work(store, Path, registry, "dice", {}).predictor == ""


@pytest.mark.parametrize("own", ["abc", 3, [1]])
def test_parameters_of_a_method_that_are_no_object_are_refused(server: Server, own: object) -> None:
    answer = server.post("/scoring/", json={"labels": own})
    assert (answer.status_code, answer.json()["code"]) == (422, "usage"), answer.text
    assert server.get("/scoring/").status_code == 404, "no other method began"


@pytest.mark.parametrize("model", ["nobody", "toy-denoise"])
def test_only_a_suggesting_model_is_asked(labelled: Server, model: str) -> None:
    answer = labelled.post("/scoring/dice", json={"model": model})
    assert (answer.status_code, answer.json()["code"]) == (422, "usage")


def test_scoring_makes_way_and_goes_on_after_an_interruption(tmp_path: Path, three: Scoring) -> None:
    session, folder, channel = engine.Session(device="cpu", registry=Registry([])), tmp_path / "job", Turns()
    studies: Sequence[Study] = ()
    for left in (2, 1):
        with pytest.raises(Paused):
            three.perform(session, folder / "results", channel, studies)
        studies = [channel.told.get(study.image, study) for study in three.studies()]
        assert [study.state for study in studies].count("queued") == left
        # As the server does when it ends.
        remove_half_done(Job(id="0" * 32, work=three, folder=folder, studies=tuple(studies)))
    assert three.perform(session, folder / "results", channel, studies).verdict == "pass"
    report = json.loads((folder / "results" / "report.json").read_text())
    assert report["scores"] == {"0": 1.0, "1": 1.0, "2": 1.0}


def test_scoring_can_be_cancelled(tmp_path: Path, three: Scoring) -> None:
    session = engine.Session(device="cpu", registry=Registry([]))
    with pytest.raises(CancelledError):
        three.perform(session, tmp_path / "results", Cancelled(), ())


def test_what_was_removed_meanwhile_costs_no_other_label_its_scores(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.nii").write_bytes(b"image")
    store = StudyFolder(str(tmp_path), extensions=["*.nii"])
    for name in "abc":
        store.save_label(name, str(tmp_path / "a.nii"), "final", {})
    store.remove_image("a")
    store.remove_label("b", "final")
    scores = {name: {"verdict": "pass"} for name in "abc"}
    note_scores(store, Scoring(model="labels"), scores)
    assert store.get_label_info("c", "final")["checks"] == {"verdict": "pass"}
    note_scores(store, Scoring(model="dice"), {"a": 0.5, "b": 0.5})
    assert store.get_image_info("b")["dice"] == 0.5
