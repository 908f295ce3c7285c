"""The panel and a server with tokens and TLS: the person gets in, the token does not get out, jobs last."""

from __future__ import annotations

import os
import stat
import sys

import psutil
import pytest
import slicer.util
from MedGANLib import settings
from MedGANLib.access import Access
from PySide6 import QtCore, QtWidgets

from tests.scene.conftest import head, wait_until
from tests.scene.secured import start_secured
from tests.scene.test_scene_panel import connect, grab, results, start_and_wait_for_work, text


@pytest.fixture(autouse=True)
def nothing_kept(qt_application):
    """Slicer's settings are empty before and after."""
    QtCore.QSettings().clear()
    yield
    QtCore.QSettings().clear()


def type_in(edit, words):
    """What a person does who replaces an edit's text."""
    edit.setText(words)
    edit.textEdited.emit(words)


def sign_in(panel, secured, token):
    type_in(panel.ui.serverEdit, secured.address)
    type_in(panel.ui.tokenEdit, token)
    panel.ui.caFileEdit.setCurrentPath(secured.ca_file)
    connect(panel, secured.address)
    return text(panel.ui.serverStatus)


def scene_text(scene):
    scene.SetSaveToXMLString(1)
    scene.Commit()
    return scene.GetSceneXMLString()


def panel_text(panel):
    labels = panel.parent.findChildren(QtWidgets.QLabel)
    tips = [child.toolTip() for child in panel.parent.findChildren(QtWidgets.QWidget)]
    return " ".join([*(label.text() for label in labels), *tips])


def test_a_token_and_a_ca_file_let_one_run(panel, secured, headless, oblique, pictures, capfd):
    token = secured.tokens["run"]
    assert panel.ui.tokenEdit.echoMode() == QtWidgets.QLineEdit.Password
    assert "signed in as a-run (run)" in sign_in(panel, secured, token)
    panel.ui.runButton.click()
    children = psutil.Process().children()
    lines = " ".join(word for child in children for word in child.cmdline())
    assert "client.py" in lines
    wait_until(lambda: not panel.runs.is_running)
    assert results(headless)
    written = capfd.readouterr()
    for where in (lines, scene_text(headless.scene), panel_text(panel), written.out, written.err):
        assert token not in where
    assert secured.address in scene_text(headless.scene)
    grab(panel, pictures / "panel-9-signed-in.png")


@pytest.mark.parametrize(
    ("token", "said"),
    [("", "asks for a token"), ("medgan_other", "does not take this token"), ("two words", "not complete")],
)
def test_a_token_that_is_not_right_is_said_with_what_to_do(panel, secured, pictures, token, said):
    status = sign_in(panel, secured, token)
    assert said in status
    assert "What to do" in status
    assert not token or token not in status
    assert not panel.ui.runButton.isEnabled()
    assert not settings.load(secured.address).token
    grab(panel, pictures / f"panel-10-{said.split()[0]}.png")


def test_a_role_that_may_not_run_is_said_before_anything_is_sent(panel, secured, oblique):
    status = sign_in(panel, secured, secured.tokens["read"])
    assert "may look at models but not run them" in status
    assert not panel.ui.runButton.isEnabled()
    assert "role run" in panel.ui.runButton.toolTip()


def test_the_ca_file_is_asked_for_where_it_counts(panel, secured, pictures):
    type_in(panel.ui.serverEdit, "http://127.0.0.1:8000")
    assert not panel.ui.caBox.isVisible()
    type_in(panel.ui.serverEdit, secured.address)
    assert panel.ui.caBox.isVisible()
    connect(panel, secured.address)
    assert "is not trusted" in text(panel.ui.serverStatus)
    assert "CA file" in text(panel.ui.serverStatus)
    grab(panel, pictures / "panel-11-not-trusted.png")


def test_a_token_is_kept_for_its_address_alone(panel, secured):
    sign_in(panel, secured, secured.tokens["run"])
    assert settings.last() == secured.access("run")
    type_in(panel.ui.serverEdit, "https://gpu.example.org")
    assert panel.ui.tokenEdit.text() == ""
    assert panel.ui.caFileEdit.property("currentPath") == ""
    type_in(panel.ui.serverEdit, secured.address)
    assert panel.ui.tokenEdit.text() == secured.tokens["run"]
    type_in(panel.ui.tokenEdit, "")
    assert settings.load(secured.address).token == ""


def test_a_token_just_typed_stays_while_the_address_is_corrected(panel):
    type_in(panel.ui.tokenEdit, "typed")
    type_in(panel.ui.serverEdit, "https://gpu.example.org")
    assert panel.ui.tokenEdit.text() == "typed"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_settings_with_a_token_are_for_their_owner_alone():
    settings.save(Access("https://gpu.example.org"))
    path = QtCore.QSettings().fileName()
    os.chmod(path, 0o644)
    settings.save(Access("https://gpu.example.org", "a-token"))
    QtCore.QSettings().sync()
    assert settings.last().token == "a-token"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_job_outlives_its_server(panel, headless, server, tmp_path, toy_folder, pictures):
    source = headless.add_volume(head((160, 192, 192)), None, "T1 big")
    secured = start_secured(tmp_path, toy_folder)
    try:
        sign_in(panel, secured, secured.tokens["run"])
        start_and_wait_for_work(panel)
        secured.server.kill()
        wait_until(lambda: "does not answer" in text(panel.ui.messageLabel))
        grab(panel, pictures / "panel-12-away.png")
        secured.server.start()
        wait_until(lambda: not panel.runs.is_running)
        message = text(panel.ui.messageLabel)
        assert "The server ended before the job was done" in message
        assert "click Resume" in message
        assert not results(headless)
        assert panel.ui.resumeButton.isVisible()
        assert panel.ui.resumeButton.isEnabled()
        grab(panel, pictures / "panel-13-interrupted.png")
        type_in(panel.ui.serverEdit, server)
        connect(panel, server)
        assert panel.ui.runButton.isEnabled()
        assert not panel.ui.resumeButton.isEnabled()
        sign_in(panel, secured, secured.tokens["run"])
        panel.ui.resumeButton.click()
        assert not panel.ui.resumeButton.isVisible()
        wait_until(lambda: not panel.runs.is_running, 300)
        made = results(headless)["T2 (synthetic, from T1)"]
        assert slicer.util.arrayFromVolume(made).shape == slicer.util.arrayFromVolume(source).shape
        assert not panel.ui.resumeButton.isVisible()
    finally:
        secured.server.stop()
