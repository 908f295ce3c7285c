"""The client against a real server, and against what else may answer under an address."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from local_server import free_port
from MedGANLib import errors, script
from MedGANLib.access import is_loopback, normalise
from MedGANLib.client import Client
from MedGANLib.multipart import MultipartBody

from tests.scene.conftest import SCRIPT, head


def answering(pages):
    """A web server that answers GET with `pages` (path to text); gives (address, stop)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = pages.get(self.path)
            self.send_response(200 if text is not None else 404)
            self.end_headers()
            self.wfile.write((text or "nothing here").encode())

        def log_message(self, *_):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{found.server_port}", found


def test_the_server_says_what_it_is_and_has(server):
    client = Client(server)
    assert client.health()["version"]
    assert {card["name"] for card in client.models()} >= {"brain-mr-translate", "mr-denoise"}


def test_a_run_gives_every_output_and_a_report(server, volume, tmp_path):
    client = Client(server)
    states = []
    job = client.submit("brain-mr-translate", {"T1": str(volume)}, target="T2", seed=3)
    job = client.wait(job["id"], progress=lambda state: states.append(state["fraction"]))
    assert set(job["results"]) == {"T2", "trust"}
    assert states == sorted(states)
    assert states[-1] == 1.0
    path = Path(client.result(job["id"], "T2", str(tmp_path / "T2.nrrd")))
    assert path.stat().st_size > 24 * 40 * 40 * 4
    assert not list(tmp_path.glob("*.part"))
    assert client.report(job["id"])["provenance"]["seed"] == 3
    client.delete(job["id"])
    with pytest.raises(errors.ServerError) as caught:
        client.job(job["id"])
    assert caught.value.code == "not-found"


def test_a_refusal_carries_the_servers_text(server, headless, tmp_path):
    constant = headless.add_volume(head((24, 40, 40)) * 0 + 7, None, "T1")
    path = headless.save_volume(constant, tmp_path / "constant.nrrd")
    client = Client(server)
    with pytest.raises(errors.RefusedError) as caught:
        client.wait(client.submit("brain-mr-translate", {"T1": str(path)}, target="T2")["id"])
    assert caught.value.code in ("input-refused", "unsuitable-input")
    assert "constant" in caught.value.what
    assert caught.value.expected
    assert caught.value.action


@pytest.mark.parametrize(
    ("model", "target", "code"), [("no-such", "T2", "unknown-model"), ("brain-mr-translate", "X", "usage")]
)
def test_a_wrong_request_is_refused(server, volume, model, target, code):
    with pytest.raises(errors.RefusedError) as caught:
        Client(server).submit(model, {"T1": str(volume)}, target=target)
    assert caught.value.code == code
    assert caught.value.expected


def test_a_cancelled_job_is_cancelled_on_the_server(server, big_volume):
    client = Client(server)
    job = client.submit("brain-mr-translate", {"T1": str(big_volume)}, target="T2")
    with pytest.raises(errors.CancelledError):
        client.wait(job["id"], cancel=lambda: client.job(job["id"])["state"] == "running")
    assert client.job(job["id"])["state"] == "cancelled"
    client.delete(job["id"])


def test_an_upload_can_be_cancelled(server, big_volume):
    client = Client(server)
    sent = []
    with pytest.raises(errors.CancelledError):
        client.submit(
            "brain-mr-translate",
            {"T1": str(big_volume)},
            target="T2",
            progress=sent.append,
            cancel=lambda: bool(sent) and sent[-1] > 0.3,
        )
    assert sent[-1] < 0.9


def test_nobody_there():
    with pytest.raises(errors.NotReachableError) as caught:
        Client(f"127.0.0.1:{free_port()}").health()
    assert "medgan serve" in caught.value.action


@pytest.mark.parametrize("address", ["", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"])
def test_an_address_that_is_none(address):
    with pytest.raises(errors.NotReachableError):
        Client(address).health()


@pytest.mark.parametrize("text", [None, "<html>hello</html>", '{"status": "ok"}'])
def test_somebody_else_answers(text):
    address, found = answering({"/health": text} if text else {})
    with pytest.raises(errors.NotMedganError):
        Client(address).health()
    found.shutdown()


def test_a_server_of_another_version():
    address, found = answering({"/models": json.dumps([{"name": "m"}])})
    with pytest.raises(errors.VersionError):
        Client(address).models()
    found.shutdown()


def test_a_server_that_never_answers():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(errors.NoAnswerError):
            Client(f"127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.3).health()
        assert time.monotonic() - start < 5


def test_a_server_that_went_away_is_waited_for_but_not_for_ever():
    client, seen = Client(f"127.0.0.1:{free_port()}"), []
    with pytest.raises(errors.NotReachableError):
        client.wait("job", away=lambda: seen.append(True), interval=0.05, patience=0.3)
    assert seen
    with pytest.raises(errors.UnconfirmedError, match="could not be told"):
        client.wait("job", cancel=lambda: True)


def test_a_submit_that_got_no_answer_is_sent_once_more_under_the_same_key(volume):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers["Idempotency-Key"], volume.read_bytes() in body))
            self.send_response(503 if len(asked) == 1 else 200)  # a proxy whose server starts again
            self.end_headers()
            self.wfile.write(b'{"id": "7"}' if len(asked) > 1 else b"")

        def log_message(self, *_):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    assert Client(f"127.0.0.1:{found.server_port}").submit("m", {"T1": str(volume)}) == {"id": "7"}
    found.shutdown()
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert asked[0][1]
    assert len(asked[0][0]) == 32


def test_addresses_as_people_type_them():
    assert normalise(" 127.0.0.1:8000/ ") == "http://127.0.0.1:8000"
    assert normalise("https://gpu.example.org") == "https://gpu.example.org"
    assert is_loopback("localhost:8000")
    assert is_loopback("http://[::1]:8000")
    assert not is_loopback("http://gpu.example.org")
    assert not is_loopback("http://localhost.example.org")


def test_the_body_has_the_length_it_says(tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(bytes(range(256)) * 50)
    body = MultipartBody({"request": '{"a": 1}'}, {"T1": path})
    whole = b"".join(iter(lambda: body.read(1000), b""))
    assert len(whole) == len(body)
    assert path.read_bytes() in whole
    assert b'filename="T1.nii.gz"' in whole


def start_script(server, volume, folder, *more):
    """The client as a process, as Slicer's QProcess starts it."""
    command = [sys.executable, str(SCRIPT), "--server", server, "--model", "brain-mr-translate", "--target"]
    command += ["T2", "--input", f"T1={volume}", "--out", str(folder), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_script_tells_its_progress_in_json_lines(server, volume, tmp_path):
    output, _ = start_script(server, volume, tmp_path / "out").communicate(timeout=120)
    events = [json.loads(line) for line in output.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "upload"
    assert "progress" in kinds
    assert kinds[-1] == "done"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["T2.nrrd", "report.json", "trust.nrrd"]


HOW = ["stdin", "terminate"] if sys.platform != "win32" else ["stdin"]  # no signals between processes there


@pytest.mark.parametrize("how", HOW)
def test_the_script_cancels_its_job_when_told_to(server, big_volume, tmp_path, how):
    process = start_script(server, big_volume, tmp_path / "out", "--stdin-cancels")
    job = None
    for line in process.stdout:
        event = json.loads(line)
        job = event.get("id") or job
        if event["event"] == "progress":
            break
    if how == "stdin":
        process.stdin.close()
    else:
        process.terminate()
    last = json.loads(process.stdout.read().splitlines()[-1])
    assert process.wait(30) == 130
    assert last["error"]["code"] == "cancelled"
    with pytest.raises(errors.ServerError):
        Client(server).job(job)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--next", "random"], "--out"),
        (["--label", "label.nrrd"], "--image"),
        (["--model", "m", "--out", "unused", "--settings", "[1]"], "--settings is not a JSON object"),
        (["--tune", "m", "--settings", "{lr: 1}"], "--settings is not a JSON object"),
        (["--label", "label.nrrd", "--image", "a", "--about", "3"], "--about is not a JSON object"),
        ([], "--model and --out"),
    ],
)
def test_a_command_line_that_lacks_something_is_told_so_before_anything_is_done(
    tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        script.main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_folder_for_the_next_case_is_made(tmp_path):
    """The server's answers to: which one, its file."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.answer(b'{"id": "a"}')

        def do_GET(self):
            self.answer(b"image" if self.path.startswith("/datastore/image") else b'{"jobs": []}')

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Disposition", 'attachment; filename="a.nii"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    server, out = f"http://127.0.0.1:{found.server_port}", tmp_path / "new" / "folder"
    command = [sys.executable, str(SCRIPT), "--server", server, "--next", "first", "--out", str(out)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found.shutdown()
    told = json.loads(process.stdout.splitlines()[-1])
    assert process.returncode == 0, told
    assert Path(told["file"]).parent == out
    assert Path(told["file"]).read_bytes() == b"image"
