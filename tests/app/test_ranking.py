"""Strategies that ask a model which image to label next, with the real model and MONAI Label's datastore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.datastore.local import LocalDatastore

from medgan_core import engine, io
from medgan_core.errors import InputError, UsageError
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs.ranking import Ranking, seen
from monailabel_app.jobs.work import Paused, Results, Silence, Study
from monailabel_app.strategies import ASKING, Ranked
from monailabel_app.tasks import InlineRunner
from tests.models import toy_denoise, toy_suggest

MODEL = "hippocampus-suggest"


def write(folder: Path, name: str, *, seed: int, side: int = 36) -> Path:
    data = 400 + 80 * np.random.default_rng(seed).normal(size=(side, side, side))
    return io.write(Volume(data.astype(np.float32), Geometry((side,) * 3, np.eye(4))), folder / f"{name}.nii")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("models")
    toy_suggest(folder)
    toy_denoise(folder)
    return Registry([folder])


@pytest.fixture
def store(tmp_path: Path) -> LocalDatastore:
    """Three images that suit the model, of which ``a`` has a label, and one that is too small for it."""
    files = tmp_path / "studies"
    files.mkdir()
    for seed, name in enumerate("abc"):
        write(files, name, seed=seed)
    write(files, "small", seed=9, side=8)
    datastore = LocalDatastore(str(files), extensions=["*.nii"], auto_reload=False)
    datastore.save_label("a", str(files / "a.nii"), "final", {})
    return datastore


class Counted:
    """Has the work done here, and remembers it."""

    def __init__(self, registry: Registry) -> None:
        self._run, self.work = InlineRunner(registry), []

    def __call__(self, work: Any, folder: Path) -> Results:
        self.work.append(work)
        return self._run(work, folder)


def strategy(name: str, registry: Registry, store: LocalDatastore, runner: Any) -> Ranked:
    return Ranked(name, registry, lambda image: Path(store.get_image_uri(image)), lambda: runner)


@pytest.mark.parametrize("name", ASKING)
def test_an_image_is_chosen_and_looked_at_once(name: str, registry: Registry, store: LocalDatastore) -> None:
    runner = Counted(registry)
    choose = strategy(name, registry, store, runner)
    first = choose({"strategy": name}, store)
    assert first is not None
    assert first["id"] in ("b", "c")
    assert first["model"] == MODEL
    assert set(runner.work[0].images) == {"a", "b", "c", "small"}
    assert choose({"strategy": name, "model": MODEL}, store) == first
    assert len(runner.work) == 1
    store.add_image("a", store.get_image_uri("c"), {})
    store.save_label("a", store.get_image_uri("c"), "final", {})
    assert choose({"strategy": name}, store) is not None
    assert list(runner.work[1].images) == ["a"], "it is another image now"
    store.save_label(first["id"], store.get_image_uri("a"), "final", {})
    second = choose({"strategy": name}, store)
    assert second is not None
    assert {first["id"], second["id"]} == {"b", "c"}


def test_the_highest_score_is_first(registry: Registry, store: LocalDatastore) -> None:
    chosen = strategy("epistemic", registry, store, Counted(registry))({}, store)
    assert chosen is not None
    scores = {image: store.get_image_info(image)["candidate"][MODEL]["score"] for image in "bc"}
    assert chosen["score"] == max(scores.values())
    assert store.get_image_info("small")["candidate"][MODEL]["score"] is None


def test_what_cannot_be_asked_is_said(registry: Registry, store: LocalDatastore) -> None:
    choose = strategy("epistemic", registry, store, Counted(registry))
    for name in ("mr-denoise", "nobody"):
        with pytest.raises(UsageError, match="no model to ask"):
            choose({"model": name}, store)
    for image in "bc":
        store.save_label(image, store.get_image_uri("a"), "final", {})
    with pytest.raises(InputError, match="none of the images"):
        choose({}, store)
    store.save_label("small", store.get_image_uri("a"), "final", {})
    assert choose({}, store) is None


def test_an_image_that_is_removed_meanwhile_is_not_chosen(registry: Registry, store: LocalDatastore) -> None:
    look = Counted(registry)

    def slow(work: Any, folder: Path) -> Results:
        store.remove_image("b")
        store.refresh()
        return look(work, folder)

    (Path(store.get_image_uri("b")).with_name("d.nii")).write_bytes(
        Path(store.get_image_uri("c")).read_bytes()
    )
    store.refresh()
    chosen = strategy("epistemic", registry, store, slow)({}, store)
    assert chosen is not None
    assert chosen["id"] in ("c", "d")


class Waited(Silence):
    """A channel on which another client always waits."""

    def __init__(self) -> None:
        self.told: dict[str, Study] = {}

    def study(self, study: Study) -> None:
        self.told[study.image] = study

    def wanted(self) -> bool:
        return True


def test_a_ranking_makes_way_between_images_and_goes_on(tmp_path: Path, registry: Registry) -> None:
    images = {name: str(write(tmp_path, name, seed=n)) for n, name in enumerate("ab")}
    work, session, channel = (
        Ranking(model=MODEL, images=images),
        engine.Session("cpu", registry=registry),
        Waited(),
    )
    with pytest.raises(Paused):
        work.perform(session, tmp_path / "results", channel, ())
    studies = [channel.told.get(study.image, study) for study in work.studies()]
    assert [study.state for study in studies] == ["done", "queued"]
    work.perform(session, tmp_path / "results", channel, studies)
    report = json.loads((tmp_path / "results" / "report.json").read_text())
    assert set(report["candidates"]) == {"a", "b"}
    assert all(found["score"] >= 0 for found in report["candidates"].values())


def test_of_many_new_images_the_labelled_are_seen_first(tmp_path: Path, registry: Registry) -> None:
    for n in range(70):
        (tmp_path / f"c{n:03d}.nii").write_bytes(b"x")
    (tmp_path / "z.nii").write_bytes(b"x")
    (tmp_path / "labels" / "final").mkdir(parents=True)
    (tmp_path / "labels" / "final" / "z.nii").write_bytes(b"x")
    datastore = LocalDatastore(str(tmp_path), extensions=["*.nii"], auto_reload=False)
    work = strategy("diversity", registry, datastore, None).unseen({}, datastore)
    assert work is not None
    assert list(work.images) == ["z", *(f"c{n:03d}" for n in range(64))]


def test_only_an_image_that_does_not_suit_is_told_so(tmp_path: Path) -> None:
    """One whose worker died, or that could not be looked at for the server's reasons, is seen again."""
    codes = ("unsuitable-input", "input-refused", "worker-died", "resource", "internal", "model")
    studies = [Study(image=code, state="failed", error={"code": code}) for code in codes]
    assert seen(tmp_path, studies) == {"unsuitable-input": None, "input-refused": None}


def test_an_image_at_which_the_worker_died_is_looked_at_again(
    registry: Registry, store: LocalDatastore, tmp_path: Path
) -> None:
    images = {name: store.get_image_uri(name) for name in ("b", "c")}
    session, work = engine.Session("cpu", registry=registry), Ranking(model=MODEL, images=images)
    died = Study(image="b", state="failed", error={"code": "worker-died", "title": "The worker died"})
    work.perform(session, tmp_path / "results", Silence(), [died, Study(image="c")])
    report = json.loads((tmp_path / "results" / "report.json").read_text())
    assert set(report["candidates"]) == {"c"}
    assert report["rows"][0]["value"] == "The worker died"
