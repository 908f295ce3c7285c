"""The client's process: the panel never waits for it."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time

import psutil
import pytest
from MedGANLib.access import Access

from tests.scene.conftest import wait_until
from tests.scene.offline import drawn_by_hand, ready, volume
from tests.scene.test_scene_panel import choose, text

AT_ONCE_S = 0.5


@pytest.fixture
def silent():
    """Address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def slow():
    """A server that stores what it gets, slowly, and says nothing of its jobs: (address, what came where)."""
    came, ended = [], threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/jobs/"):
                ended.wait(60)
            self._answer()

        def do_POST(self):
            self._answer(b'{"id": "j1"}')

        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(1)
            came.append(self.path.split("?")[0])
            self._answer()

        def _answer(self, text=b"{}"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}", came
        ended.set()
        found.shutdown()


def timed(act):
    start = time.monotonic()
    act()
    return time.monotonic() - start


def clients():
    living = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in living if "client.py" in " ".join(one.cmdline())]


def test_connecting_again_does_not_wait_for_a_server_that_hangs(panel, silent):
    panel.ui.serverEdit.setText(silent)
    panel.ui.connectButton.click()
    wait_until(clients)
    assert timed(panel.ui.connectButton.click) < AT_ONCE_S
    wait_until(lambda: len(clients()) == 1)
    assert timed(panel.server.stop) < AT_ONCE_S
    wait_until(lambda: not clients())
    assert not panel.server.is_connecting


def test_closing_the_scene_does_not_wait_and_the_volumes_files_go(panel, headless, silent):
    volume(headless, "T1")
    ready(panel)
    panel.server.access = Access(silent)
    choose(panel, "denoise")
    panel.onRun()
    folder = panel.runs._folder
    wait_until(clients)
    assert os.listdir(folder)
    assert timed(lambda: headless.scene.Clear(0)) < AT_ONCE_S
    assert not panel.runs.is_running
    wait_until(lambda: not clients() and not os.path.exists(folder), 20)


def test_the_module_that_goes_away_leaves_no_process(panel, silent):
    ready(panel)
    panel.server.access = Access(silent)
    panel.ui.nextButton.click()
    folder = panel.annotation._chore._folder
    wait_until(clients)
    panel.cleanup()
    assert not clients()
    assert not os.path.exists(folder)


def submit(panel, headless, address):
    ready(panel)
    panel.server.access = Access(address)
    image = volume(headless, "p7 T1w")
    panel.annotation.choose(drawn_by_hand(headless, image, "Posterior hippocampus"))
    panel.ui.submitButton.click()
    wait_until(clients)


def test_a_label_on_its_way_arrives_though_the_scene_closes(panel, headless, slow):
    address, came = slow
    submit(panel, headless, address)
    headless.scene.Clear(0)
    wait_until(lambda: not panel.annotation.is_running)
    assert came == ["/datastore/image", "/datastore/label"]
    assert "final label of p7_T1w" in text(panel.ui.annotateMessage)


def test_a_label_on_its_way_arrives_though_the_module_goes_away(panel, headless, slow):
    address, came = slow
    submit(panel, headless, address)
    folder = panel.annotation._chore._folder
    panel.cleanup()
    assert came == ["/datastore/image", "/datastore/label"]
    assert not clients()
    assert not os.path.exists(folder)


def test_a_label_that_takes_too_long_at_the_end_is_given_up_with_a_word(
    panel, headless, silent, caplog, monkeypatch
):
    monkeypatch.setattr("MedGANLib.chore._LAST_MS", 500)
    submit(panel, headless, silent)
    panel.cleanup()
    assert "the label of p7_T1w was not stored" in caplog.text
    assert not clients()


def test_a_tuning_whose_server_hangs_is_not_said_to_be_cancelled(panel, slow):
    ready(panel)
    panel.server.access = Access(slow[0])
    choose(panel, "suggest", "hippocampus-suggest")
    panel.ui.tuneButton.click()
    wait_until(lambda: "Waiting for the server" in text(panel.ui.tuneMessage))
    panel.ui.tuneCancelButton.click()
    wait_until(lambda: not panel.tuning.is_running)
    assert "could not be told to stop" in text(panel.ui.tuneMessage)
    assert panel.ui.tuneResumeButton.isEnabled()
    assert not clients()
