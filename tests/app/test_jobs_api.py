from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import requests

from medgan_core import engine, io
from medgan_core.registry import Registry
from tests.app.conftest import EXACT, Server

TRANSLATE = {"model": "toy-translate", "target": "T2", "settings": EXACT}


def download(server: Server, job_id: str, key: str, folder: Path, kind: str = "nii") -> Path:
    answer = server.get(f"/jobs/{job_id}/results/{key}", params={"format": kind})
    assert answer.status_code == 200, answer.text
    path = folder / f"{key}.{kind}"
    path.write_bytes(answer.content)
    return path


def assert_problem(answer: requests.Response, status: int, code: str) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {
        "type", "title", "status", "detail", "code", "expected", "got", "action", "request_id",
    }  # fmt: skip
    assert (problem["status"], problem["code"]) == (status, code)
    assert "Traceback" not in answer.text
    return dict(problem)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd"])
def test_a_job_gives_the_voxels_and_the_geometry_that_the_engine_gives(
    server: Server, volumes: dict[str, Path], registry: Registry, tmp_path: Path, kind: str
) -> None:
    answer = server.submit(TRANSLATE, {"T1": volumes[kind]})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    job = server.wait(answer.json()["id"])
    assert job["state"] == "done", job
    assert job["results"] == ["T2", "trust"]
    assert (job["fraction"], job["remaining_s"], job["position"], job["error"]) == (1.0, None, None, None)
    source = io.read(volumes[kind])
    expected = engine.run(
        engine.Session(device="cpu", registry=registry),
        "toy-translate",
        {"T1": source},
        engine.RunOptions(target="T2", settings=EXACT),
    )
    for key in job["results"]:
        got = io.read(download(server, job["id"], key, tmp_path))
        assert got.data.dtype == np.float32
        assert got.geometry.close_to(source.geometry)
        np.testing.assert_allclose(got.data, expected.volumes[key].data, rtol=1e-4, atol=0.05)
    assert server.delete(f"/jobs/{job['id']}").status_code == 204


def test_results_come_in_every_format_with_the_same_voxels(
    server: Server, volumes: dict[str, Path], tmp_path: Path
) -> None:
    job = server.wait(server.submit(TRANSLATE, {"FLAIR": volumes["nii"]}).json()["id"])
    plain = download(server, job["id"], "T2", tmp_path)
    packed = download(server, job["id"], "T2", tmp_path, "nii.gz")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    for kind in ("nii.gz", "nrrd"):
        other = io.read(download(server, job["id"], "T2", tmp_path, kind))
        np.testing.assert_array_equal(other.data, io.read(plain).data)
        assert other.geometry.close_to(io.read(plain).geometry)
    assert_problem(server.get(f"/jobs/{job['id']}/results/T2?format=png"), 422, "usage")
    assert_problem(server.get(f"/jobs/{job['id']}/results/..%2Freport"), 404, "not-found")
    assert_problem(server.get(f"/jobs/{job['id']}/results/CT"), 404, "not-found")
    server.delete(f"/jobs/{job['id']}")


def test_the_report_names_the_model_and_says_synthetic(server: Server, volumes: dict[str, Path]) -> None:
    job = server.wait(server.submit(TRANSLATE, {"T1": volumes["nii"]}).json()["id"])
    report = server.get(f"/jobs/{job['id']}/report").json()
    assert report["provenance"]["model"] == "toy-translate"
    assert report["provenance"]["synthetic"] is True
    assert report["verdict"] == job["verdict"]
    assert {"name", "value", "unit", "limit", "verdict"} == set(report["rows"][0])
    server.delete(f"/jobs/{job['id']}")


def test_uploaded_and_stored_inputs_are_used_together(server: Server, volumes: dict[str, Path]) -> None:
    body = {**TRANSLATE, "inputs": {"FLAIR": "head", "T1post": "packed"}}
    job = server.wait(server.submit(body, {"T1": volumes["nrrd"]}).json()["id"])
    assert job["state"] == "done", job["error"]
    assert sorted(job["inputs"]) == ["FLAIR", "T1", "T1post"]
    assert (server.studies / "head.nii").is_file(), "a stored image must outlive the job"
    server.delete(f"/jobs/{job['id']}")


def test_nothing_is_left_after_deletion(server: Server, volumes: dict[str, Path]) -> None:
    job_id = server.submit(TRANSLATE, {"T1": volumes["nii"]}).json()["id"]
    server.wait(job_id)
    assert any("results" in name for name in server.left_over())
    assert not any("inputs" in name for name in server.left_over()), "uploads are needed no longer"
    assert server.delete(f"/jobs/{job_id}").status_code == 204
    assert server.settled() == []
    for path in ("", "/events", "/report", "/results/T2"):
        assert_problem(server.get(f"/jobs/{job_id}{path}"), 404, "not-found")
    assert_problem(server.delete(f"/jobs/{job_id}"), 404, "not-found")


def test_events_tell_the_whole_story(server: Server, volumes: dict[str, Path]) -> None:
    job_id = server.submit({"model": "slow-denoise", "settings": EXACT}, {"image": volumes["large"]}).json()[
        "id"
    ]
    seen = []
    with server.get(f"/jobs/{job_id}/events", stream=True) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
                if seen[-1]["fraction"] > 0.3:
                    server.post(f"/jobs/{job_id}/cancel")
    states = [document["state"] for document in seen]
    assert states[-1] == "cancelled"
    assert "running" in states
    running = [document for document in seen if document["state"] == "running"]
    fractions = [document["fraction"] for document in running]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 3
    assert any(document["remaining_s"] for document in running)
    assert all(document["stage"] for document in running[1:])
    server.delete(f"/jobs/{job_id}")


WRONG = [
    ({"model": "nobody"}, {"T1": "nii"}, 404, "unknown-model"),
    ({"model": "../toy-translate"}, {"T1": "nii"}, 404, "unknown-model"),
    ({"model": "toy-translate", "target": "CT"}, {"T1": "nii"}, 422, "usage"),
    ({"model": "toy-translate"}, {"T1": "nii"}, 422, "usage"),
    ({"model": "toy-translate", "target": "T2"}, {}, 422, "usage"),
    ({"model": "toy-translate", "target": "T2"}, {"CT": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "seed": -1}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "seed": "1"}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "count": 0}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "colour": "red"}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "settings": {"strength": 7}}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "settings": {"strenght": 1}}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "inputs": {"image": "head"}}, {"image": "nii"}, 422, "usage"),
    ({"model": "toy-denoise", "inputs": {"image": "nobody"}}, {}, 404, "unknown-image"),
    ({"model": "toy-denoise", "inputs": {"image": "../studies/head"}}, {}, 404, "unknown-image"),
    ({"model": "toy-denoise", "inputs": {"image": "../../../../etc/passwd"}}, {}, 404, "unknown-image"),
    ({"model": "toy-denoise", "inputs": {"image": "/etc/passwd"}}, {}, 404, "unknown-image"),
    ([], {}, 422, "usage"),
]


@pytest.mark.parametrize(("body", "files", "status", "code"), WRONG)
def test_a_wrong_request_is_refused_with_what_is_known(
    server: Server, volumes: dict[str, Path], body: object, files: dict[str, str], status: int, code: str
) -> None:
    answer = server.submit(body, {key: volumes[kind] for key, kind in files.items()})  # type: ignore[arg-type]
    problem = assert_problem(answer, status, code)
    assert problem["expected"]
    assert problem["got"]
    assert server.settled() == []


@pytest.mark.parametrize(
    "parts",
    [
        {"T1": ("t1.nii", b"")},
        {"request": (None, "{"), "T1": ("t1.nii", b"")},
        {"request": (None, '{"model": "toy-denoise"}'), "image": ("image.exe", b"MZ")},
        {"request": (None, '{"model": "toy-denoise"}'), "../image": ("image.nii", b"0")},
        {"request": (None, '{"model": "toy-denoise"}'), "extra": (None, "text")},
    ],
)
def test_a_form_that_is_no_job_is_refused(server: Server, parts: dict[str, tuple[str | None, bytes]]) -> None:
    answer = server.post("/jobs", files=parts)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("usage", "input-refused")
    assert_problem(server.post("/jobs", json={"model": "toy-denoise"}), 422, "usage")
    assert server.settled() == []


def test_an_upload_that_is_too_large_is_refused_while_it_comes(server: Server) -> None:
    parts = {"request": (None, '{"model": "toy-denoise"}'), "image": ("image.nii", bytes(70 << 20))}
    problem = assert_problem(server.post("/jobs", files=parts), 413, "too-large")
    assert "MB" in problem["expected"]
    assert server.settled() == []


def test_a_file_that_is_no_volume_is_refused_before_it_is_queued(server: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii"
    broken.write_bytes(b"not a volume" * 40)
    assert_problem(server.submit({"model": "toy-denoise"}, {"image": broken}), 422, "input-refused")
    assert server.get("/jobs").json()["jobs"] == []
    assert server.settled() == []


def test_a_submit_under_the_same_key_makes_one_job(server: Server, volumes: dict[str, Path]) -> None:
    def submit(key: str, kind: str, **more: object) -> requests.Response:
        parts = {
            "request": (None, json.dumps({"model": "toy-denoise", "settings": EXACT, **more})),
            "image": (f"x.{kind}", volumes[kind].read_bytes()),
        }
        return server.post("/jobs", files=parts, headers={"Idempotency-Key": key})

    first = submit("key-1", "nii")
    again = submit("key-1", "nii")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert_problem(submit("key-1", "nii", seed=1), 422, "key-reused")
    assert_problem(submit("key-1", "nrrd"), 422, "key-reused")
    assert_problem(submit("two words", "nii"), 422, "usage")
    assert submit("key-2", "nii").status_code == 202
    assert len(server.get("/jobs").json()["jobs"]) == 2
    done = server.wait(first.json()["id"])
    assert submit("key-1", "nii").json()["results"] == done["results"], "also when it is done"
    for job in server.get("/jobs").json()["jobs"]:
        server.delete(f"/jobs/{job['id']}")
    assert server.settled() == []


def test_results_are_compressed_for_the_transfer_only_when_asked(
    server: Server, volumes: dict[str, Path]
) -> None:
    job = server.wait(server.submit(TRANSLATE, {"T1": volumes["nii"]}).json()["id"])
    address = f"/jobs/{job['id']}/results/T2"
    plain = server.get(address)
    assert "content-encoding" not in plain.headers, "though the client says that it takes gzip"
    packed = server.get(address, params={"encoding": "gzip"}, stream=True)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.raw.read(decode_content=False)) == plain.content
    zstandard = pytest.importorskip("zstandard", reason="zstd needs the package zstandard")
    packed = server.get(address, params={"encoding": "zstd"}, stream=True)
    assert packed.headers["content-encoding"] == "zstd"
    raw = packed.raw.read(decode_content=False)
    assert len(raw) < len(plain.content)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(raw) == plain.content
    assert_problem(server.get(address, params={"encoding": "br"}), 422, "usage")
    server.delete(f"/jobs/{job['id']}")


def test_a_refused_input_has_a_report_that_says_why(server: Server, tmp_path: Path) -> None:
    from medgan_core.volume import Geometry, Volume

    tiny = Volume(np.random.default_rng(0).random((8, 8, 8), np.float32), Geometry((8, 8, 8), np.eye(4)))
    path = io.write(tiny, tmp_path / "tiny.nii")
    job_id = server.submit(TRANSLATE, {"T1": path}).json()["id"]
    job = server.wait(job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "unsuitable-input")
    report = server.get(f"/jobs/{job_id}/report").json()
    assert report["verdict"] == "fail"
    assert any(row["verdict"] == "fail" for row in report["rows"])
    assert report["error"]["code"] == "unsuitable-input"
    server.delete(f"/jobs/{job_id}")
    assert server.settled() == []


def test_models_are_their_cards(server: Server, registry: Registry) -> None:
    listed = {card["name"]: card for card in server.get("/models").json()["models"]}
    for name in ("toy-translate", "toy-denoise"):
        assert listed[name] == registry.card(name).to_dict() == server.get(f"/models/{name}").json()
    assert_problem(server.get("/models/nobody"), 404, "unknown-model")


def test_the_interface_is_described(server: Server) -> None:
    described = server.get("/openapi.json").json()
    for path in (
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/events",
        "/jobs/{job_id}/results/{key}",
        "/health",
    ):
        assert path in described["paths"]
    form = described["paths"]["/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]["request"]["properties"]) == {
        "model", "target", "seed", "count", "settings", "inputs",
    }  # fmt: skip


def test_an_unknown_address_is_a_problem_document(server: Server) -> None:
    assert_problem(server.get("/nowhere"), 404, "not-found")
    assert_problem(server.post("/health"), 405, "method-not-allowed")
