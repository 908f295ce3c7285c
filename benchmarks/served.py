"""Servers in processes of their own, to be measured: `medgan serve`, and MONAI Label's with the same app."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).resolve().parents[1]
_MEDGAN = [sys.executable, "-c", "import sys; from medgan_core.cli import main; sys.exit(main())", "serve"]
_STOCK = [sys.executable, "-m", "monailabel.main", "start_server", "--host", "127.0.0.1"]
_START_S = 300.0


class Served:
    """A server with a folder and an address of its own.

    Args:
        command: without port and studies.
        folder: is made; everything the server keeps lies in it.
        ready: address that answers when it is ready.
    """

    def __init__(self, command: list[str], folder: Path, ready: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder, self._ready = folder, ready
        (folder / "studies").mkdir(parents=True)
        self._command = [*command, "--port", str(port), "--studies", str(folder / "studies")]
        self._go()

    @staticmethod
    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[Served]:
        """`medgan serve` on the CPU for as long as the block lasts."""
        server = Served([*_MEDGAN, "--device", "cpu", "--data-dir", str(folder / "data")], folder, "/ready")
        try:
            yield server
        finally:
            server.stop()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def kill_worker(self) -> None:
        """End the worker as a system without memory does."""
        (worker,) = requests.get(f"{self.url}/health", timeout=30).json()["workers"]
        if worker["pid"] is not None:
            os.kill(worker["pid"], signal.SIGKILL)
            print("worker killed", flush=True)

    def kill_and_restart(self) -> None:
        """End the server at once, and start it again on the same folder."""
        self._process.kill()
        self._process.wait(10)
        begin = time.monotonic()
        self._go()
        print(f"server killed, ready again after {time.monotonic() - begin:.1f} s", flush=True)

    def memory(self) -> float:
        """Resident memory of the server's own process in MB."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    def _go(self) -> None:
        environment = {**os.environ, "MONAI_LABEL_SESSION_PATH": str(self._folder / "sessions")}
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(self.url + self._ready, timeout=5).ok:
                    return
            time.sleep(0.2)
        self._process.kill()
        raise SystemExit("the server did not start:\n" + (self._folder / "log.txt").read_text()[-2000:])


@contextlib.contextmanager
def stock_server(folder: Path) -> Iterator[Served]:
    """MONAI Label's own server with the app, from a copy: it makes folders beside ``main.py``."""
    app = folder / "app" / "monailabel_app"
    shutil.copytree(ROOT / "monailabel_app", app, ignore=shutil.ignore_patterns("__pycache__", "logs"))
    server = Served([*_STOCK, "--app", str(app)], folder, "/info/")
    try:
        yield server
    finally:
        server.stop()
