"""Restore and Detect over REST: a mask goes in, another grid and an anomaly map come out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from requests_toolbelt import MultipartDecoder

from medgan_core import engine, io
from medgan_core.registry import Registry
from medgan_core.volume import Volume
from tests.app.conftest import EXACT, Server, serve, start, stop
from tests.models import toy_anomaly, toy_inpaint, toy_thin_slices

MODELS = {"mr-thin-slices": "image", "mr-inpaint": "image", "flair-anomaly": "FLAIR"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("restoring")
    for save in (toy_thin_slices, toy_inpaint, toy_anomaly):
        save(made)
    return made


@pytest.fixture(scope="module")
def restoring(
    tmp_path_factory: pytest.TempPathFactory, folder: Path, volumes: dict[str, Path]
) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("serve-restoring")
    running = start(place, folder, serve(place), "/health", volumes)
    yield running
    stop(running)


@pytest.fixture(scope="module")
def mask(volumes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = io.read(volumes["nii"])
    region = np.zeros(image.geometry.shape, dtype=np.uint8)
    region[20:28, 18:26, 14:20] = 1
    return io.write(image.with_data(region), tmp_path_factory.mktemp("masks") / "mask.nrrd")


def expected(folder: Path, model: str, inputs: dict[str, Volume]) -> tuple[str, Volume]:
    session = engine.Session("cpu", registry=Registry([folder]))
    outcome = engine.run(session, model, inputs, engine.RunOptions(settings=EXACT))
    ((key, volume),) = outcome.volumes.items()
    return key, volume


@pytest.mark.parametrize("model", MODELS)
def test_a_job_gives_what_the_engine_gives(
    restoring: Server, folder: Path, volumes: dict[str, Path], mask: Path, tmp_path: Path, model: str
) -> None:
    files = {MODELS[model]: volumes["nii"]} | ({"mask": mask} if model == "mr-inpaint" else {})
    job = restoring.wait(restoring.submit({"model": model, "settings": EXACT}, files).json()["id"])
    assert job["state"] == "done", job
    key, wanted = expected(folder, model, {name: io.read(path) for name, path in files.items()})
    assert job["results"] == [key]
    answer = restoring.get(f"/jobs/{job['id']}/results/{key}", params={"format": "nii.gz"})
    path = tmp_path / "result.nii.gz"
    path.write_bytes(answer.content)
    got = io.read(path)
    assert got.geometry.close_to(wanted.geometry)
    np.testing.assert_allclose(got.data, wanted.data, rtol=1e-4, atol=0.05)
    restoring.delete(f"/jobs/{job['id']}")


def test_a_job_without_its_mask_is_refused_at_once(restoring: Server, volumes: dict[str, Path]) -> None:
    answer = restoring.submit({"model": "mr-inpaint"}, {"image": volumes["nii"]})
    assert answer.status_code == 422
    assert "mask" in answer.json()["expected"]


def test_an_empty_mask_fails_with_what_to_do(
    restoring: Server, volumes: dict[str, Path], tmp_path: Path
) -> None:
    image = io.read(volumes["nii"])
    empty = io.write(image.with_data(np.zeros_like(image.data)), tmp_path / "empty.nii")
    sent = restoring.submit({"model": "mr-inpaint"}, {"image": volumes["nii"], "mask": empty})
    job = restoring.wait(sent.json()["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "input-refused")
    assert "draw the region" in job["error"]["action"]


def test_the_label_of_a_stock_client_is_the_mask(
    restoring: Server, folder: Path, volumes: dict[str, Path], mask: Path, tmp_path: Path
) -> None:
    answer = restoring.post(
        "/infer/mr-inpaint",
        data={"params": json.dumps({"settings": EXACT, "result_extension": ".nii"})},
        files={
            "file": ("head.nii", volumes["nii"].read_bytes()),
            "label": ("mask.nrrd", mask.read_bytes()),
        },
    )
    assert answer.status_code == 200, answer.text
    image = MultipartDecoder.from_response(answer).parts[1].content
    (tmp_path / "filled.nii").write_bytes(image)
    _, wanted = expected(folder, "mr-inpaint", {"image": io.read(volumes["nii"]), "mask": io.read(mask)})
    np.testing.assert_allclose(io.read(tmp_path / "filled.nii").data, wanted.data, rtol=1e-4, atol=0.05)


def test_cards_over_rest_say_what_a_client_needs(restoring: Server) -> None:
    cards = {card["name"]: card for card in restoring.get("/models").json()["models"]}
    assert cards["mr-inpaint"]["inputs"][1]["kind"] == "labels"
    assert cards["mr-thin-slices"]["outputs"][0]["slice_factor"] == 2
    assert cards["flair-anomaly"]["outputs"][0]["kind"] == "map"
    information = restoring.get("/info/").json()["models"]
    assert {information[name]["card"]["task"] for name in MODELS} == {"restore", "detect"}
