"""MONAI Label's own endpoint tests against `medgan serve`: the table of docs/monailabel-compatibility.md.

    git clone --branch 0.8.5 --depth 1 https://github.com/Project-MONAI/MONAILabel
    python benchmarks/monailabel_tests.py MONAILabel

Their tests make a client of their own app in the same process; here that client talks to a running server.
Their data set (spleens in CT) is replaced by phantoms of the same names. Ends with status 1 when a test fails
that is not known to ask for something else than this app offers.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.served import Served
from medgan_core import io
from medgan_core.volume import Geometry, Volume

SUITES = ("tests/unit/endpoints", "tests/integration/radiology")
LABELLED, UNLABELLED = ("spleen_3", "spleen_9"), "spleen_8"
NOT_RUN = {
    "test_dicomwebcache.py": "replaces the DICOMweb client in their app; tests/app/dicom uses a real PACS",
    "test_infer_wsi.py": "whole-slide images are not offered",
    "test_proxy.py": "replaces `requests.get` in their app; the DICOMweb proxy is not offered",
}
OTHERWISE = {
    "test_007_create_session_multiple_images": "asks for unrelated volumes in one session; here several "
    "files are the slices of one series",
    "test_strategy_epistemic": "asks for the strategy of their model segmentation_spleen",
    "EndPointModel::test_info": "asks for their model deepedit; models are not exchanged as files",
    "EndPointModel::test_download": "asks for their model deepedit; models are not exchanged as files",
}


class Client(requests.Session):
    """What stands in the place of their in-process client: the same calls, to a server."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Addresses without a host are the server's."""
        return super().request(method, self._server + url if url.startswith("/") else url, *args, **options)


class Outcomes:
    """A plugin of pytest: puts the client in place and notes what became of each test.

    Args:
        server: its address.
    """

    def __init__(self, server: str) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self._server, self._asked = server, 0

    def pytest_sessionstart(self) -> None:
        """Before their tests are collected."""
        # Theirs: their folder comes first in sys.path.
        context: Any = importlib.import_module("tests.unit.endpoints.context")
        context.create_client = lambda *_, **__: Client(self._server)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Count what a test asks the server."""
        self._asked = 0
        send = requests.Session.send

        def counted(*args: Any, **options: Any) -> requests.Response:
            self._asked += 1
            return send(*args, **options)

        with mock.patch.object(requests.Session, "send", counted):
            yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome."""
        if report.when != "call" and not report.failed:
            return
        file, _, name = report.nodeid.partition("::")
        if report.failed:
            why = next((text for key, text in OTHERWISE.items() if key in report.nodeid), "")
            self.rows.append((file, name, f"not applicable: {why}" if why else "FAILED"))
        else:
            self.rows.append((file, name, "passed" if self._asked else "asks nothing without a GPU"))


def fill(server: Served, folder: Path) -> None:
    """Phantoms under the names of their spleens, on the disk and in the server's store; one has no label."""
    (folder / "labels" / "final").mkdir(parents=True)
    labels = np.zeros((48, 48, 24), np.float32)
    labels[10:22, 12:24, 6:14] = 1
    grid = Geometry((48, 48, 24), np.diag([3.0, 3.0, 5.0, 1.0]))
    for seed, name in enumerate((*LABELLED, UNLABELLED)):
        noise = np.random.default_rng(seed).normal(0, 20, labels.shape).astype(np.float32)
        image = io.write(Volume(100 * labels + noise, grid), folder / f"{name}.nii.gz")
        _put(server, "image", image, {"image": name})
        if name in LABELLED:
            label = io.write(Volume(labels, grid), folder / "labels" / "final" / f"{name}.nii.gz")
            for tag in ("final", "original"):
                _put(server, "label", label, {"image": name, "tag": tag})


def _put(server: Served, kind: str, file: Path, about: dict[str, str]) -> None:
    part = "file" if kind == "image" else "label"
    with file.open("rb") as stream:
        files = {part: (file.name, stream)}
        answer = requests.put(f"{server.url}/datastore/{kind}", params=about, files=files, timeout=60)
    answer.raise_for_status()


@contextmanager
def copied(source: Path) -> Iterator[Path]:
    """Their tests in a folder of its own, which is the working folder for as long as the block lasts."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keep = shutil.ignore_patterns("__pycache__", "data", "downloads", *NOT_RUN)
        shutil.copytree(source / "tests", folder / "tests", ignore=keep)
        sys.path.insert(0, name)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="MONAI Label's sources, tag 0.8.5")
    source = parser.parse_args().folder.resolve()
    if not (source / SUITES[0]).is_dir():
        parser.error(f"{source} has no {SUITES[0]}")
    # As their tests have it: what is removed is gone at once, not when the folder is looked at next.
    os.environ["MONAI_LABEL_DATASTORE_AUTO_RELOAD"] = "false"
    with copied(source) as folder, Served.start(folder / "server") as server:
        os.environ["MONAI_LABEL_SESSION_PATH"] = str(folder / "server" / "sessions")
        os.environ["MONAILABEL_SERVER_PORT"] = server.url.rpartition(":")[2]
        fill(server, folder / "tests" / "data" / "dataset" / "local" / "spleen")
        outcomes = Outcomes(server.url)
        pytest.main(["-q", "--rootdir", str(folder), "-p", "no:cacheprovider", *SUITES], plugins=[outcomes])
    print("\n| file | test | outcome |\n|---|---|---|")
    for file, name, outcome in outcomes.rows:
        print(f"| {file.removeprefix('tests/')} | {name} | {outcome} |")
    for file, why in NOT_RUN.items():
        print(f"| {file} | all | not run: {why} |")
    return int(not outcomes.rows or any(outcome == "FAILED" for *_, outcome in outcomes.rows))


if __name__ == "__main__":
    sys.exit(main())
