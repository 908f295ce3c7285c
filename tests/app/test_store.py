"""Jobs on the disk."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medgan_core.errors import ResourceError
from medgan_core.monitor import Progress
from monailabel_app.jobs.batch import Batch
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.ranking import Ranking
from monailabel_app.jobs.retention import Retention
from monailabel_app.jobs.run import Run
from monailabel_app.jobs.scoring import Scoring
from monailabel_app.jobs.store import Store
from monailabel_app.jobs.training import Training
from monailabel_app.jobs.tuning import Tuning
from monailabel_app.jobs.work import Study, Work
from monailabel_app.problems import NotFoundError

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
WORKS: list[Work] = [
    Run(model="m", inputs={"T1": "t1.nii"}, target="T2", seed=3, settings={"strength": 0.5, "align": True}),
    Batch(model="m", images={"head": "head.nii"}, input="T1", tag="synthetic"),
    Ranking(model="m", images={"head": "head.nii"}),
    Scoring(model="dice", labels={"head": "l.nii"}, references={"head": "o.nii"}, tag="final"),
    Training(model="sngan", settings={"updates": "7"}, data="d", out="o", max_minutes=1.5),
    Tuning(model="m", settings={"lr": "0.1"}, cohort=[{"patient": "p", "images": {"T1": "t1.nii"}}], out="o"),
]


def job(store: Store, name: str, work: Work, **more: object) -> Job:
    return replace(Job(id=name, work=work, folder=store.place(name), created=NOW), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.kind)
def test_a_job_of_every_kind_comes_back_whole(tmp_path: Path, work: Work) -> None:
    store = Store(tmp_path)
    studies = (Study(image="head", state="failed", error={"code": "input-refused"}), Study(image="b"))
    before = job(
        store, "a", work, client="ward 3", key="k1", digest="d", state="done", started=NOW, finished=NOW,
        size=12, device="cpu", studies=studies, results={"T2": "T2.nii"}, verdict="pass", error={"code": "x"},
    )  # fmt: skip
    store.put(before)
    store.close()
    again = Store(tmp_path)
    assert again.jobs() == [before]
    assert again.by_key("ward 3", "k1") == before
    assert again.by_key("ward 4", "k1") is None


def test_order_changes_and_removal_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in "cab":
        store.put(job(store, name, WORKS[0]))
    store.put(replace(store.get("a"), state="running", progress=Progress(0.5, "network", 1.0, 1.0)))
    store.remove("c")
    store.close()
    again = Store(tmp_path)
    assert [(kept.id, kept.state, kept.progress) for kept in again.jobs()] == [
        ("a", "running", None),
        ("b", "queued", None),
    ]
    with pytest.raises(NotFoundError):
        again.get("c")


def test_progress_alone_is_not_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(job(store, "a", WORKS[0], state="running"))
    before = store._database.total_changes
    for n in range(10):
        store.put(replace(store.get("a"), progress=Progress(n / 10, "network", 1.0, None), told=1.0 + n))
    assert store._database.total_changes == before
    assert store.get("a").progress == Progress(0.9, "network", 1.0, None)


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with pytest.raises(ResourceError, match="another server"):
        Store(tmp_path)
    first.close()
    Store(tmp_path).close()


def test_what_cannot_be_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    database = sqlite3.connect(tmp_path / "jobs.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ResourceError, match="version is 99"):
        Store(tmp_path)
    (tmp_path / "jobs.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(ResourceError, match="not a database"):
        Store(tmp_path)
    assert (tmp_path / "jobs.sqlite3").read_bytes().startswith(b"no database")


def test_the_oldest_finished_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = [
        job(store, name, WORKS[0], size=10, state="done", finished=NOW + timedelta(hours=hours))
        for name, hours in (("new", 2), ("old", 0), ("mid", 1))
    ] + [job(store, "waiting", WORKS[0], size=10)]
    keep, plenty = Retention(quota=50), 1 << 40

    def victims(need: int, *, free: int = plenty, sparing: str = "") -> list[str] | None:
        found, lacking = keep.victims(jobs, need, free=free, sparing=sparing)
        return None if lacking else [one.id for one in found]

    assert victims(10) == []
    assert victims(11) == ["old"]
    assert victims(40) == ["old", "mid", "new"]
    assert victims(41) is None, "what waits is never removed"
    assert victims(25, sparing="old") == ["mid", "new"]
    assert victims(0, free=0) is None, "a disk is never filled to its brim"
    assert keep.victims(jobs, 42, free=plenty)[1] == 2
