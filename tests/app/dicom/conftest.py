"""A real PACS (Orthanc with its DICOMweb plugin) on a free loopback port, and a real validator (dciodvfy)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from monailabel_app.dicom.pacs import Pacs
from monailabel_app.dicom.settings import PacsSettings
from tests.app.dicom.phantoms import AXIAL, OBLIQUE, SAGITTAL, Phantom

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "medgan", "phantom"
# The validator's dictionary is of 2022; the attribute is of 2023 (PS3.3 C.12.1, Synthetic Data).
KNOWN = "Error - Attribute with an even group number is not a recognized standard attribute - (0x0008,0x001c)"

PHANTOMS = {
    "axial": Phantom(AXIAL),
    "oblique": Phantom(OBLIQUE),
    "sagittal": Phantom(SAGITTAL, shape=(40, 44, 30), spacing=(3.5, 4.0, 4.5)),
    "thick": Phantom(OBLIQUE, shape=(52, 44, 5), spacing=(3.0, 3.5, 22.0)),
    "uneven": Phantom(AXIAL, depths=(0, 1.02, 2, 2.98, 4, 5, 6, 7, 8)),
    "ct": Phantom(AXIAL, modality="CT", description="CT phantom"),
}


def missing(what: str, packages: str) -> None:
    """Skip, and say how to get it; on a machine that tests for everybody (CI is set) it must be there."""
    text = f"{what} is not installed: sudo apt-get install {packages}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@dataclass(frozen=True)
class Orthanc:
    """A running PACS."""

    root: str

    @property
    def url(self) -> str:
        """Of its DICOMweb service."""
        return f"{self.root}/dicom-web"

    def get(self, path: str) -> Any:
        """JSON of Orthanc's own REST interface, which knows nothing of DICOMweb."""
        answer = requests.get(self.root + path, auth=(USER, PASSWORD), timeout=20)
        answer.raise_for_status()
        return answer.json()

    def put(self, folder: Path) -> None:
        """Upload the files of a folder."""
        for file in sorted(folder.iterdir()):
            answer = requests.post(
                f"{self.root}/instances", data=file.read_bytes(), auth=(USER, PASSWORD), timeout=20
            )
            answer.raise_for_status()

    def series(self, uid: str) -> dict[str, Any]:
        """What it knows about a series."""
        body = {"Level": "Series", "Query": {"SeriesInstanceUID": uid}, "Expand": True}
        answer = requests.post(f"{self.root}/tools/find", json=body, auth=(USER, PASSWORD), timeout=20)
        (found,) = answer.json()
        return dict(found)

    def files(self, uid: str, folder: Path) -> list[Path]:
        """The files of a series as they are stored, written into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for instance in self.series(uid)["Instances"]:
            file = requests.get(f"{self.root}/instances/{instance}/file", auth=(USER, PASSWORD), timeout=20)
            paths.append(folder / f"{instance}.dcm")
            paths[-1].write_bytes(file.content)
        return paths


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An empty Orthanc that asks for a password; gone after the tests."""
    program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None or not PLUGIN.is_file():
        missing("Orthanc", "orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), str(folder / "orthanc.json")], stdout=log, stderr=log)
    running = Orthanc(f"http://127.0.0.1:{port}")
    try:
        _wait(running, process, folder / "log")
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _wait(running: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            running.get("/system")
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="session")
def pacs(orthanc: Orthanc) -> Pacs:
    """A client with the right password."""
    return Pacs(PacsSettings(url=orthanc.url, user=USER, password=PASSWORD, timeout_s=20))


@pytest.fixture(scope="session")
def archive(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Phantom]:
    """The phantoms, and an enhanced MR object, in the PACS."""
    folder = tmp_path_factory.mktemp("phantoms")
    for name, phantom in PHANTOMS.items():
        orthanc.put(phantom.write(folder / name))
    enhanced = Phantom(OBLIQUE, description="enhanced")
    orthanc.put(enhanced.write_enhanced(folder / "enhanced"))
    return {**PHANTOMS, "enhanced": enhanced}


def assert_valid(*files: Path) -> None:
    """No file breaks the standard, in the eyes of dciodvfy (dicom3tools)."""
    if shutil.which("dciodvfy") is None:
        missing("dciodvfy", "dicom3tools")
    for file in files:
        done = subprocess.run(["dciodvfy", str(file)], capture_output=True, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
        assert any("Image" in line or "Map" in line or "Segmentation" in line for line in said), said
        errors = [line for line in said if line.startswith("Error") and not line.startswith(KNOWN)]
        assert errors == [], file


def assert_consistent(folder: Path) -> None:
    """The files of a folder agree about patient, study, series and frame of reference (dcentvfy)."""
    if shutil.which("dcentvfy") is None:
        missing("dcentvfy", "dicom3tools")
    files = sorted(str(path) for path in folder.rglob("*.dcm"))
    done = subprocess.run(["dcentvfy", *files], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    assert [line for line in said if line.startswith("Error")] == []
