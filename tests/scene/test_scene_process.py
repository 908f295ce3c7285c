"""The client's process: the panel never waits for it."""

from __future__ import annotations

import os
import socket
import time

import psutil
import pytest
from MedGANLib.access import Access

from tests.scene.conftest import wait_until
from tests.scene.offline import ready, volume
from tests.scene.test_scene_panel import choose

AT_ONCE_S = 0.5


@pytest.fixture
def silent():
    """Address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


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
