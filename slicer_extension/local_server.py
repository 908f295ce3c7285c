"""`medgan serve` on a free port of this computer, for as long as a `with` block lasts (demo and tests)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from MedGANLib import errors
from MedGANLib.client import Client

_START_S = 120.0
_STOP_S = 20.0


class LocalServer:
    """One `medgan serve` with a folder of its own; it can be started, ended and started again.

    Args:
        folder: an empty folder for its data, studies and log.
        environment: variables added to this process's own, for example ``MEDGAN_MODELS``.
        options: further options of ``medgan serve``.
        ca_file: authority of its certificate, when `options` set up TLS.
        start_s: how long it may take to answer.

    Attributes:
        address: where it answers; the same after every start.
        process: the last one that was started.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        ca_file: str = "",
        start_s: float = _START_S,
    ) -> None:
        port = free_port()
        self.address = f"{'https' if ca_file else 'http'}://127.0.0.1:{port}"
        self._folder, self._ca_file, self._start_s = folder, ca_file, start_s
        self._environment = {**os.environ, **(environment or {})}
        self._command = [
            sys.executable,
            "-c",
            "import sys; from medgan_core.cli import main; sys.exit(main())",
        ]
        self._command += ["serve", "--port", str(port), "--studies", str(folder / "studies")]
        self._command += ["--data-dir", str(folder / "data"), *options]

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: when it ends or does not answer in time; the message has the end of its log.
        """
        (self._folder / "studies").mkdir(exist_ok=True)
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # so that Ctrl+Break reaches it alone
        with (self._folder / "log.txt").open("ab") as out:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                creationflags=flags,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def log(self) -> str:
        """What it has printed so far."""
        return (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end as Ctrl+C does, then insist; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _wait(self) -> None:
        client = Client(self.address, ca_file=self._ca_file, connect_timeout=1.0, read_timeout=5.0)
        end = time.monotonic() + self._start_s
        try:
            while time.monotonic() < end and self.process.poll() is None:
                try:
                    client.health()
                    return
                except errors.ClientError:
                    time.sleep(0.2)
        finally:
            client.close()
        within = f"{self.address} within {self._start_s:.0f} s"
        raise RuntimeError(f"medgan serve did not answer under {within}.\n{self.log()[-2000:]}")


@contextlib.contextmanager
def running_server(
    *, environment: Mapping[str, str] | None = None, start_s: float = _START_S
) -> Iterator[str]:
    """Start a server, wait until it answers, yield its address, stop it.

    Args:
        environment: variables added to this process's own, for example ``MEDGAN_MODELS``.
        start_s: how long it may take to answer.

    Raises:
        RuntimeError: when it ends or does not answer in time; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="medgan-server-") as folder:
        server = LocalServer(Path(folder), environment=environment, start_s=start_s)
        server.start()
        try:
            yield server.address
        finally:
            server.stop()


def free_port() -> int:
    """A TCP port of this computer that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
