"""A real MRML scene, a real panel, a real server with small models, for every test here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from headless import HeadlessScene
from local_server import running_server
from PySide6 import QtCore, QtWidgets

from tests.scene import EXTENSION, slicer_adapter
from tests.scene.secured import Secured, start_secured

SCRIPT = EXTENSION / "MedGAN" / "MedGANLib" / "client.py"
"""What Slicer's QProcess starts."""

OBLIQUE_LEFT_HANDED = np.array(
    [[-0.9, 0.21, 0.3, 31.25], [0.18, 1.07, -0.9, -27.5], [0.12, 0.25, 2.8, 13.125], [0, 0, 0, 1.0]]
)
"""Oblique, anisotropic (about 0.93 x 1.12 x 2.96 mm), orthogonal axes after `orthogonal`, left-handed."""


def orthogonal(matrix):
    """The same spacing and origin with the nearest orthonormal axes; a left-handed matrix stays so."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / spacing)
    result = matrix.copy()
    result[:3, :3] = left @ right * spacing
    return result


def head(shape, seed=0):
    """A bright ellipsoid with structure on a dark background; array (k, j, i), float32."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt(i**2 + j**2 + k**2)
    texture = np.random.default_rng(seed).normal(0, 12, shape)
    return np.where(radius < 0.85, 600 + 250 * np.cos(9 * i) * np.cos(7 * j) + texture, 4).astype(np.float32)


def wait_until(condition, seconds=90.0):
    """Run Qt's events until `condition()`; fails the test when it does not come about in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not come about within {seconds} s")
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
        time.sleep(0.01)


@pytest.fixture(scope="session", autouse=True)
def qt_application(tmp_path_factory):
    """The one QApplication; settings go into a temporary folder."""
    folder = str(tmp_path_factory.mktemp("settings"))
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, folder)
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    application.setOrganizationName("medgan-tests")
    return application


@pytest.fixture(scope="session")
def server(toy_folder):
    """Address of a running `medgan serve` with small models; a busy machine may take minutes to start it."""
    with running_server(environment={"MEDGAN_MODELS": str(toy_folder)}, start_s=400) as address:
        yield address


@pytest.fixture(scope="session")
def secured(tmp_path_factory, toy_folder) -> Iterator[Secured]:
    """A running `medgan serve` with small models, TLS and tokens."""
    found = start_secured(tmp_path_factory.mktemp("secured"), toy_folder)
    yield found
    found.server.stop()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Where pictures are left: $MEDGAN_PICTURES or a temporary folder."""
    folder = Path(os.environ.get("MEDGAN_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def headless():
    """An empty scene with slice views Red, Green and Yellow."""
    made = HeadlessScene()
    for name in ("Red", "Green", "Yellow"):
        made.slice_view(name)
    return made


@pytest.fixture
def oblique(headless):
    """A T1 volume node on an oblique, anisotropic, left-handed grid."""
    return headless.add_volume(head((24, 64, 80)), None, "sub-01 T1w", matrix=orthogonal(OBLIQUE_LEFT_HANDED))


@pytest.fixture
def volume(headless, tmp_path):
    """A small volume file."""
    node = headless.add_volume(head((24, 40, 40)), None, "T1", matrix=np.diag([2.5, 2.5, 3.0, 1.0]))
    return headless.save_volume(node, tmp_path / "T1.nrrd")


@pytest.fixture
def big_volume(headless, tmp_path):
    """A volume file that keeps the server busy for a while."""
    return headless.save_volume(headless.add_volume(head((160, 192, 192)), None, "T1"), tmp_path / "big.nrrd")


@pytest.fixture
def panel(headless):
    """The module's panel on `headless`, shown; cleaned up at the end."""
    module = slicer_adapter.open_in(headless.scene, headless.app)
    widget = module.MedGANWidget()
    widget.setup()
    widget.parent.resize(440, 880)
    widget.parent.show()
    yield widget
    widget.cleanup()
    widget.parent.close()
