"""The app under MONAI Label's own server, and the same requests to `medgan serve`."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from requests_toolbelt import MultipartDecoder

from medgan_core import engine, io
from medgan_core.registry import Registry
from medgan_core.volume import Volume
from tests.app.conftest import EXACT, Server


@pytest.fixture(params=["stock", "server"])
def either(request: pytest.FixtureRequest) -> Server:
    """Either server: MONAI Label's, or this project's."""
    running: Server = request.getfixturevalue(request.param)
    return running


def infer(
    server: Server, model: str, query: dict[str, str], params: dict[str, Any], **more: Any
) -> requests.Response:
    return server.post(f"/infer/{model}", params=query, data={"params": json.dumps(params)}, **more)


def parts(answer: requests.Response) -> tuple[dict[str, Any], bytes]:
    """The two parts of a multipart answer: params and image."""
    found = {}
    for part in MultipartDecoder.from_response(answer).parts:
        name = part.headers[b"Content-Disposition"].decode().split('name="')[1].split('"')[0]
        found[name] = part.content
    return json.loads(found["params"]), found["image"]


@pytest.fixture(scope="module")
def expected(registry: Registry, volumes: dict[str, Path]) -> dict[str, Volume]:
    return engine.run(
        engine.Session(device="cpu", registry=registry),
        "toy-translate",
        {"T1": io.read(volumes["nii"])},
        engine.RunOptions(target="FLAIR", settings=EXACT),
    ).volumes


def assert_same(path: Path, expected: Volume) -> None:
    got = io.read(path)
    assert got.data.dtype == np.float32
    assert got.geometry.close_to(expected.geometry)
    np.testing.assert_allclose(got.data, expected.data, rtol=1e-4, atol=0.05)


def test_info_lists_models_with_what_they_take_and_give(either: Server, registry: Registry) -> None:
    information = either.get("/info/").json()
    assert information["name"] == "MedGAN"
    for name in ("toy-translate", "toy-denoise"):
        model, card = information["models"][name], registry.card(name)
        assert model["type"] == "others"
        assert card.description in model["description"]
        assert [port["key"] for port in model["card"]["inputs"]] == [port.key for port in card.inputs]
        assert [port["key"] for port in model["card"]["outputs"]] == [port.key for port in card.outputs]
        assert model["card"]["targets"] == model["config"]["target"] == list(card.targets)
        assert model["card"]["task"] == card.task
    assert information["models"]["toy-denoise"]["config"]["strength"] == 1.0


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_an_infer_returns_the_float_volume_in_its_place(
    either: Server, expected: dict[str, Volume], tmp_path: Path, suffix: str
) -> None:
    params = {"target": "FLAIR", "settings": EXACT, "result_extension": suffix, "result_dtype": "uint8"}
    params, image = parts(infer(either, "toy-translate", {"image": "head"}, params))
    assert params["result"] == "FLAIR"
    assert params["results"] == ["FLAIR", "trust"]
    assert params["provenance"]["synthetic"] is True
    assert params["rows"]
    path = tmp_path / f"result{suffix}"
    path.write_bytes(image)
    assert_same(path, expected["FLAIR"])
    assert either.settled() == []


def test_outputs_image_and_json(either: Server, expected: dict[str, Volume], tmp_path: Path) -> None:
    params = {"input": "T1", "target": ["FLAIR"], "settings": EXACT, "result": "trust"}
    answer = infer(either, "toy-translate", {"image": "packed", "output": "image"}, params)
    path = tmp_path / "trust.nii"
    path.write_bytes(answer.content)
    assert_same(path, expected["trust"])
    answer = infer(either, "toy-translate", {"image": "head", "output": "json"}, {"target": "FLAIR"})
    assert answer.json()["provenance"]["target"] == "FLAIR"
    assert either.settled() == []


def test_an_upload_a_session_and_further_inputs(either: Server, volumes: dict[str, Path]) -> None:
    params = {"input": "T2", "target": "FLAIR", "inputs": {"T1": "head"}, "seed": 5, **EXACT}
    upload = {"file": ("t2.nrrd", volumes["nrrd"].read_bytes())}
    answer = infer(either, "toy-translate", {"output": "json"}, params, files=upload)
    assert answer.status_code == 200, answer.text
    assert sorted(answer.json()["provenance"]["inputs"]) == ["T1", "T2"]
    assert answer.json()["provenance"]["seed"] == 5
    session = requests.put(
        f"{either.url}/session/", files={"files": ("t2.nii", volumes["nii"].read_bytes())}, timeout=60
    ).json()["session_id"]
    query = {"session_id": session, "image": "", "output": "json"}
    answer = infer(either, "toy-translate", query, params)
    assert answer.status_code == 200, answer.text
    assert either.settled() == []


FAILING = [
    ("nobody", {"image": "head"}, {}),
    ("toy-translate", {"image": "nobody"}, {}),
    ("toy-translate", {"image": "/etc/hostname"}, {}),
    ("toy-translate", {"image": "../studies/head.nii"}, {}),
    ("toy-translate", {"image": "head"}, {"target": "CT"}),
    ("toy-translate", {"image": "head"}, {"result": "CT"}),
    ("toy-translate", {"image": "head"}, {"inputs": {"FLAIR": "../../etc/passwd"}}),
    ("toy-translate", {"image": "head"}, {"result_extension": ".png"}),
    ("toy-translate", {"session_id": "nobody"}, {}),
    ("toy-denoise", {"image": "head"}, {"settings": {"strength": 9}}),
    ("toy-denoise", {"image": "head"}, {"seed": "x"}),
]


@pytest.mark.parametrize(("model", "query", "params"), FAILING)
def test_a_failed_infer_says_why_and_leaves_nothing(
    either: Server,
    request: pytest.FixtureRequest,
    volumes: dict[str, Path],
    model: str,
    query: dict[str, str],
    params: dict[str, Any],
) -> None:
    answer = infer(either, model, query, params)
    if "[server-" in request.node.name:
        assert answer.status_code in (404, 422), answer.text
        assert answer.json()["code"] in ("usage", "unknown-model", "unknown-image")
        assert answer.json()["title"]
    else:
        assert answer.status_code == 500, "MONAI Label's server knows no other"
    assert either.settled() == []
    assert (either.studies / "head.nii").is_file()


def test_an_upload_that_fails_is_not_left_behind(either: Server) -> None:
    upload = {"file": ("broken.nii", b"no volume" * 100)}
    answer = infer(either, "toy-denoise", {}, {}, files=upload)
    assert answer.status_code >= 400
    assert either.settled() == []


def test_several_infers_at_once_are_all_answered(server: Server, volumes: dict[str, Path]) -> None:
    answers: list[requests.Response] = []

    def ask() -> None:
        answers.append(infer(server, "toy-denoise", {"image": "head"}, {**EXACT}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    voxels = 48 * 44 * 36 * 4
    images = [parts(answer)[1][-voxels:] for answer in answers]
    assert len(images) == 4
    assert len(set(images)) == 1, "headers differ in their date, voxels do not"
    assert server.settled() == []


def test_stock_endpoints_are_there_and_confined(server: Server, volumes: dict[str, Path]) -> None:
    assert server.get("/datastore/", params={"output": "all"}).json()["objects"].keys() == {"head", "packed"}
    image = server.get("/datastore/image", params={"image": "head"})
    assert image.content == volumes["nii"].read_bytes()
    for name in ("../studies/head", "/etc/passwd", "..\\head", "C:\\head"):
        answer = server.get("/datastore/image", params={"image": name})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-image")
        upload = {"file": ("x.nii", b"0")}
        answer = requests.put(f"{server.url}/datastore/", params={"image": name}, files=upload, timeout=30)
        assert answer.status_code == 404
    assert server.get("/logs/", params={"html": "false"}).status_code == 200
    assert server.post("/activelearning/random", json={}).json()["id"] in ("head", "packed")
    assert server.get("/train/").status_code == 404, "nothing is being trained"
    assert server.get("/datastore/image", params={"image": "nobody"}).json()["code"] == "unknown-image"


@pytest.mark.parametrize("kind", ["sha256", "sha512", "md5"])
def test_a_client_asks_whether_the_stored_image_is_the_one_it_has(server: Server, kind: str) -> None:
    digits = hashlib.new(kind, server.get("/datastore/image", params={"image": "head"}).content).hexdigest()

    def status(check_sum: str) -> int:
        params = {"image": "head", "check_sum": check_sum}
        return requests.head(f"{server.url}/datastore/image", params=params, timeout=30).status_code

    assert status(f"{kind.upper()}:{digits}") == 200
    assert status(f"{kind.upper()}:{digits[::-1]}") == 404
    assert (status(digits) == 200) == (kind == "sha256")


def test_a_stored_label_keeps_its_floats(server: Server, volumes: dict[str, Path]) -> None:
    answer = requests.put(
        f"{server.url}/datastore/label",
        params={"image": "head", "tag": "synthetic"},
        files={"label": ("head.nii", volumes["nii"].read_bytes())},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    label = server.get("/datastore/label", params={"label": "head", "tag": "synthetic"})
    assert label.content == volumes["nii"].read_bytes()
