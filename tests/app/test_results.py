"""Results in the format that was asked for, whatever they lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from medgan_core import io
from medgan_core.errors import UsageError
from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from monailabel_app.api.jobs import Kind, volume_response
from monailabel_app.jobs.job import Job
from monailabel_app.jobs.run import Run
from monailabel_app.stock import read_request
from monailabel_app.tasks import InlineRunner, ModelTask
from tests.models import toy_suggest


@pytest.mark.parametrize("stored", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_result_comes_in_the_format_that_was_asked_for(tmp_path: Path, stored: str) -> None:
    (tmp_path / "results").mkdir()
    volume = Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), Geometry((3, 4, 5), np.eye(4)))
    io.write(volume, tmp_path / "results" / f"T2{stored}")
    job = Job(
        id="a",
        work=Run(model="m"),
        folder=tmp_path,
        state="done",
        results={"T2": f"T2{stored}"},
        verdict="pass",
    )
    app = FastAPI()

    @app.get("/")
    def result(format: Kind) -> object:
        return volume_response(job, "T2", format, "identity")

    for kind in ("nii", "nii.gz", "nrrd"):
        answer = TestClient(app).get("/", params={"format": kind})
        assert f'filename="T2.{kind}"' in answer.headers["content-disposition"]
        (tmp_path / f"got.{kind}").write_bytes(answer.content)
        assert np.array_equal(io.read(tmp_path / f"got.{kind}").data, volume.data)
    assert [path.name for path in (tmp_path / "results").iterdir()] == [f"T2{stored}"]


@pytest.mark.parametrize("seed", [float("inf"), float("nan"), -1, "x"])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object, toy_registry: Registry) -> None:
    with pytest.raises(UsageError, match="seed"):
        read_request(toy_registry.card("mr-denoise"), {"seed": seed}, Path("a.nii"), Path)


@pytest.mark.parametrize("result", [None, "segmentation", "uncertainty"])
def test_every_output_of_a_run_can_be_asked_for(tmp_path: Path, result: str | None) -> None:
    card, registry = toy_suggest(tmp_path / "models"), Registry([tmp_path / "models"])
    image = io.write(crop(), tmp_path / "crop.nii")
    runner = InlineRunner(registry)
    path, told = ModelTask(card, Path, lambda: runner)({"image": str(image), "result": result})
    found = io.read(Path(path))
    Path(path).unlink()
    assert told["results"] == ["segmentation", "uncertainty"]
    assert told["result"] == (result or "segmentation")
    assert found.geometry.close_to(crop().geometry)
    assert (found.data.dtype.kind == "f") == (result == "uncertainty")


def test_an_output_that_a_run_does_not_give_is_refused(tmp_path: Path) -> None:
    card, image = Registry().card("mr-variants"), Path("a.nii")
    asked = read_request(card, {"result": "segmentation"}, image, Path)
    assert asked.choose({"image": "image.nii", "segmentation": "segmentation.nii"}) == "segmentation"
    with pytest.raises(UsageError, match="one of image"):
        asked.choose({"image": "image.nii"})
    with pytest.raises(UsageError, match="one of image, segmentation"):
        read_request(card, {"result": "trust"}, image, Path)


def crop() -> Volume:
    grid = Geometry((36, 44, 32), np.eye(4))
    return Volume(np.random.default_rng(0).normal(100, 20, grid.shape).astype(np.float32), grid)
