"""MONAI Label's ``/batch/infer`` and ``/train`` through the queue."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import requests

from medgan_core import io
from tests.app.conftest import EXACT, Server

MANIFEST = "set,patient,visit,key,kind,coverage,split,licence,path\n"


def test_a_batch_runs_over_the_store_and_keeps_results_as_labels(server: Server, tmp_path: Path) -> None:
    assert server.get("/batch/infer").status_code == 404
    params = {"input": "T1", "target": "T2", "settings": EXACT, "label_tag": "synthetic"}
    task = server.post("/batch/infer/toy-translate", json=params).json()
    assert task["status"] in ("SUBMITTED", "RUNNING")
    job = server.wait(task["id"], timeout_s=240)
    assert (job["kind"], job["state"]) == ("batch", "done"), job
    assert [(s["image"], s["state"]) for s in job["studies"]] == [("head", "done"), ("packed", "done")]
    assert job["results"] == ["001/T2", "001/trust", "002/T2", "002/trust"]
    volume = server.get(f"/jobs/{job['id']}/results/002/T2").content
    label = server.get("/datastore/label", params={"label": "packed", "tag": "synthetic"}).content
    assert label == volume
    (tmp_path / "T2.nii").write_bytes(volume)
    source = io.read(server.studies / "packed.nii.gz")
    assert io.read(tmp_path / "T2.nii").geometry.close_to(source.geometry)
    assert [row["name"] for row in server.get(f"/jobs/{job['id']}/report").json()["rows"]] == [
        "head",
        "packed",
    ]
    one = server.get(f"/jobs/{job['id']}/report", params={"study": "packed"}).json()
    assert one["provenance"]["model"] == "toy-translate"
    state = server.get("/batch/infer").json()
    assert (state["id"], state["status"]) == (job["id"], "DONE")
    server.delete(f"/jobs/{job['id']}")
    assert server.settled() == []


def test_a_study_that_is_refused_does_not_stop_the_others(server: Server) -> None:
    (server.studies / "bad.nii").write_bytes(b"no volume" * 100)
    params = {"images": ["bad", "head"], "settings": EXACT, "save_label": False}
    try:
        # The store notices new files by itself, a moment later.
        patience = time.monotonic() + 60
        while "bad" not in server.get("/datastore/", params={"output": "all"}).json()["objects"]:
            assert time.monotonic() < patience
            time.sleep(0.1)
        task = server.post("/batch/infer/toy-denoise", json=params).json()
        job = server.wait(task["id"], timeout_s=240)
    finally:
        (server.studies / "bad.nii").unlink()
    assert [s["state"] for s in job["studies"]] == ["failed", "done"], job
    assert job["studies"][0]["error"]["code"] == "input-refused"
    assert job["verdict"] == "fail"


@pytest.mark.parametrize(
    "params",
    [
        {"images": ["../studies/head"]},
        {"images": "head"},
        {"images": ["nobody"]},
        {"label_tag": "../../x"},
        {"label_tag": ".x"},
        {"max_batch_size": -1},
        {"target": "CT"},
    ],
)
def test_a_wrong_batch_is_refused(server: Server, params: dict[str, object]) -> None:
    answer = server.post("/batch/infer/toy-translate", json={"input": "T1", "target": "T2", **params})
    assert answer.status_code in (404, 422), answer.text
    assert answer.json()["code"] in ("usage", "unknown-image")


@pytest.mark.parametrize("tag", ["final", "Final", "final."])
def test_a_batch_leaves_the_labels_of_people_as_they_are(server: Server, tag: str) -> None:
    params = {"input": "T1", "target": "T2", "label_tag": tag}
    answer = server.post("/batch/infer/toy-translate", json=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "usage")
    assert "people" in answer.json()["expected"]


def test_a_training_is_a_job_with_progress_and_cancel(server: Server, volumes: dict[str, Path]) -> None:
    data = server.studies / "cohort"
    data.mkdir()
    rows = []
    for n, split in enumerate(("train", "train", "test")):
        volume = io.read(volumes["large"])
        for key in ("T1", "T2"):
            name = f"p{n}-{key}.nii"
            io.write(volume.with_data(volume.data[0] * np.float32(1 + 0.1 * n)), data / name)
            rows.append(f"phantom,p{n},1,{key},image,head,{split},CC0-1.0,{name}\n")
    (data / "manifest.csv").write_text(MANIFEST + "".join(rows))
    params = {"data": "cohort", "settings": {"updates": 100000}}
    task = server.post("/train/brain-mr-translate", json=params).json()
    job = server.wait(task["id"], "running", "failed", timeout_s=60)
    while job["state"] == "running" and not job["stage"].startswith("training"):
        job = server.job(job["id"])
    assert job["state"] == "running", job
    assert server.get("/train/").json()["status"] == "RUNNING"
    assert server.post("/train/brain-mr-translate", json=params).status_code == 503, (
        "MONAI Label runs one at a time"
    )
    stopped = requests.delete(f"{server.url}/train/", timeout=30).json()
    assert (stopped["id"], stopped["status"]) == (task["id"], "STOPPED")
    assert server.job(task["id"])["state"] == "cancelled"


def test_a_training_that_cannot_be_is_refused(server: Server) -> None:
    for model, params, code in (
        ("nobody", {}, "unknown-model"),
        ("dcgan", {"data": "../.."}, "usage"),
        ("dcgan", {"data": "/etc"}, "usage"),
        ("dcgan", {"settings": {"colour": 1}}, "usage"),
        ("dcgan", {"max_minutes": -1}, "usage"),
    ):
        answer = server.post(f"/train/{model}", json=params)
        assert answer.json()["code"] == code, answer.text
    assert server.get("/train/").status_code == 404
