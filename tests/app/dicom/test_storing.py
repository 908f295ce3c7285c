"""From the PACS through `medgan serve` and back: submit a stored series, store what comes out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests

from medgan_core import io
from tests.app import conftest as app
from tests.app.conftest import EXACT, Server
from tests.app.dicom.conftest import PASSWORD, USER, Orthanc, assert_consistent, assert_valid
from tests.app.dicom.phantoms import Phantom


def start(folder: Path, command: list[str], models: Path, orthanc: Orthanc, ready: str) -> Server:
    """A server whose studies are the PACS, and whose cache, sessions and temporary files lie in `folder`."""
    (folder / "temporary").mkdir()
    port, log = app.free_port(), folder / "server.log"
    environment = {
        **os.environ,
        "TMPDIR": str(folder / "temporary"),
        "MEDGAN_MODELS": str(models),
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
        "MONAI_LABEL_DICOMWEB_USERNAME": USER,
        "MONAI_LABEL_DICOMWEB_PASSWORD": PASSWORD,
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(app.ROOT),
    }
    command = [*command, "--studies", orthanc.url, "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=stream)
    url = f"http://127.0.0.1:{port}"
    running = Server(url, process, folder / "temporary", folder, folder / "data", log)
    try:
        app._wait_until_ready(running, ready)
    except BaseException:
        process.kill()
        raise
    return running


@pytest.fixture(scope="module")
def linked(orthanc: Orthanc, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`medgan serve --studies` with the address of the PACS."""
    folder = tmp_path_factory.mktemp("linked")
    running = start(folder, app.serve(folder), models, orthanc, "/health")
    yield running
    app.stop(running)


@pytest.fixture
def stock_linked(orthanc: Orthanc, models: Path, tmp_path: Path) -> Iterator[Server]:
    """MONAI Label's own server with a copy of the app: it makes folders beside `main.py`."""
    place = tmp_path / "app" / "monailabel_app"
    shutil.copytree(app.ROOT / "monailabel_app", place, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--host", "127.0.0.1"]
    running = start(tmp_path, [*command, "--app", str(place)], models, orthanc, "/info/")
    yield running
    app.stop(running)


def run(server: Server, model: str, inputs: dict[str, str], **request: Any) -> dict[str, Any]:
    """The document of a job over stored series, once it is done."""
    body = {"model": model, "inputs": inputs, "settings": EXACT, **request}
    answer = server.submit(body, {})
    assert answer.status_code == 202, answer.text
    job = server.wait(answer.json()["id"])
    assert job["state"] == "done", job
    return job


def problem(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text


def test_a_translation_goes_back_beside_its_source(
    linked: Server, orthanc: Orthanc, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    source = archive["sagittal"]
    job = run(linked, "toy-translate", {"T1": source.series}, target="T2")
    answer = linked.post(f"/jobs/{job['id']}/store")
    assert answer.status_code == 200, answer.text
    image, trust = answer.json()["stored"]
    assert (image["key"], image["modality"], image["instances"]) == ("T2", "MR", 30)
    assert (trust["key"], trust["modality"], trust["instances"]) == ("trust", "OT", 1)
    assert image["study"] == trust["study"] == source.study
    files = orthanc.files(image["series"], tmp_path / "back" / "T2")
    (map_file,) = orthanc.files(trust["series"], tmp_path / "back" / "trust")
    assert_valid(*files[:3], map_file)
    orthanc.files(source.series, tmp_path / "back" / "source")
    assert_consistent(tmp_path / "back")
    told = linked.get(f"/jobs/{job['id']}/results/T2").content
    (tmp_path / "T2.nii").write_bytes(told)
    result, back = io.read(tmp_path / "T2.nii"), io.read(tmp_path / "back" / "T2")
    np.testing.assert_allclose(back.geometry.affine, source.affine(), atol=1e-6)
    stored = pydicom.dcmread(files[0])
    np.testing.assert_allclose(back.data, result.data, rtol=0, atol=float(stored.RescaleSlope) / 2 * 1.0001)
    assert stored[0x0008, 0x001C].value == "YES"
    assert stored["EchoTime"].is_empty
    assert "toy-translate" in stored.DerivationDescription
    parametric = pydicom.dcmread(map_file)
    linked_trust = linked.get(f"/jobs/{job['id']}/results/trust").content
    (tmp_path / "trust.nii").write_bytes(linked_trust)
    values = np.frombuffer(parametric.FloatPixelData, np.float32).reshape(30, *source.voxels.shape[1:])
    np.testing.assert_array_equal(values.T, io.read(tmp_path / "trust.nii").data[0])
    # Again: the same series, no copies.
    assert linked.post(f"/jobs/{job['id']}/store").json() == answer.json()
    assert len(orthanc.series(image["series"])["Instances"]) == 30


def test_one_result_of_a_denoising_keeps_the_acquisition(
    linked: Server, orthanc: Orthanc, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    job = run(linked, "toy-denoise", {"image": archive["sagittal"].series})
    answer = linked.post(f"/jobs/{job['id']}/store", json={"results": ["image"]})
    (stored,) = answer.json()["stored"]
    first = pydicom.dcmread(orthanc.files(stored["series"], tmp_path)[0])
    assert (first.EchoTime, first.RepetitionTime) == (14, 612)
    assert first.SeriesDescription.startswith("SYNTHETIC image (toy-denoise ")


def test_results_of_a_batch_go_back_beside_their_own_sources(
    linked: Server, orthanc: Orthanc, archive: dict[str, Phantom]
) -> None:
    sources = [archive["sagittal"], archive["oblique"]]
    params = {"images": [source.series for source in sources], "save_label": False}
    params["settings"] = {**EXACT, "allow_unsuitable": True}
    task = linked.post("/batch/infer/toy-denoise", json=params).json()
    assert linked.wait(task["id"], timeout_s=240)["state"] == "done"
    address = f"/jobs/{task['id']}/store"
    problem(linked.post(address, json={"results": ["image"]}), 404, "not-found")
    answer = linked.post(address, json={"results": ["002/image"]})
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["stored"]
    assert (one["key"], one["study"]) == ("002/image", sources[1].study)
    stored = linked.post(address).json()["stored"]
    assert [found["key"] for found in stored] == ["001/image", "001/trust", "002/image", "002/trust"]
    assert [found["study"] for found in stored[::2]] == [source.study for source in sources]
    assert one in stored, "again is the same series"
    assert len({found["series"] for found in stored}) == 4
    assert len(orthanc.series(one["series"])["Instances"]) == one["instances"]


@pytest.mark.parametrize("which", ["linked", "stock_linked"])
def test_the_stock_endpoints_see_the_pacs(
    request: pytest.FixtureRequest, archive: dict[str, Phantom], which: str
) -> None:
    server: Server = request.getfixturevalue(which)
    series = archive["sagittal"].series
    listed = server.get("/datastore/", params={"output": "all"}).json()["objects"]
    assert {phantom.series for phantom in archive.values()} <= set(listed)
    assert server.get("/info/").json()["datastore"]["total"] == len(listed)
    image = server.get("/datastore/image", params={"image": series})
    assert image.status_code == 200
    answer = server.post(f"/infer/toy-denoise?image={series}&output=image", files={"params": (None, "{}")})
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 4 * archive["sagittal"].voxels.size


def test_what_cannot_be_stored_is_told(linked: Server, archive: dict[str, Phantom], tmp_path: Path) -> None:
    job = run(linked, "toy-denoise", {"image": archive["sagittal"].series})
    place = f"/jobs/{job['id']}/store"
    problem(linked.post(place, json={"results": ["T9"]}), 404, "not-found")
    problem(linked.post(place, json={"results": []}), 422, "usage")
    problem(linked.post(place, json={"result": ["image"]}), 422, "usage")
    problem(linked.post("/jobs/0/store"), 404, "not-found")
    volume = io.write(io.read(archive["sagittal"].write(tmp_path / "s")), tmp_path / "upload.nii")
    body = {"model": "toy-denoise", "settings": EXACT}
    uploaded = linked.wait(linked.submit(body, {"image": volume}).json()["id"])
    problem(linked.post(f"/jobs/{uploaded['id']}/store"), 409, "not-from-pacs")


def test_inputs_of_two_patients_are_not_stored(
    linked: Server, orthanc: Orthanc, archive: dict[str, Phantom], tmp_path: Path
) -> None:
    sagittal = archive["sagittal"]
    other = Phantom(
        sagittal.orientation, sagittal.shape, sagittal.spacing,
        tags={"PatientID": "PH-18", "PatientName": "Other^Phantom"}, study="2.25.77",
    )  # fmt: skip
    orthanc.put(other.write(tmp_path / "other"))
    job = run(linked, "toy-translate", {"T1": sagittal.series, "FLAIR": other.series}, target="T2")
    answer = linked.post(f"/jobs/{job['id']}/store")
    problem(answer, 422, "usage")
    assert "several patients" in answer.json()["title"]


def test_a_folder_is_no_pacs(server: Server) -> None:
    answer = server.submit({"model": "toy-denoise", "inputs": {"image": "head"}, "settings": EXACT}, {})
    job = server.wait(answer.json()["id"])
    problem(server.post(f"/jobs/{job['id']}/store"), 409, "not-from-pacs")
