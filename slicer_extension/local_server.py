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
from collections.abc import Iterator, Mapping
from pathlib import Path

from MedGANLib import errors
from MedGANLib.client import Client

_START_S = 120.0
_STOP_S = 20.0


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
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="medgan-server-") as folder:
        log = Path(folder) / "log.txt"
        studies = Path(folder) / "studies"
        studies.mkdir()
        command = [sys.executable, "-c", "import sys; from medgan_core.cli import main; sys.exit(main())"]
        command += ["serve", "--port", str(port), "--studies", str(studies)]
        command += ["--data-dir", str(Path(folder) / "data")]
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # so that Ctrl+Break reaches it alone
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                creationflags=flags,
            )
            try:
                _wait(process, address, log, start_s)
                yield address
            finally:
                stop(process)


def free_port() -> int:
    """A TCP port of this computer that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a server to end as Ctrl+C does, then insist; returns its exit status."""
    if process.poll() is None:
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path, seconds: float) -> None:
    client = Client(address, connect_timeout=1.0, read_timeout=5.0)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and process.poll() is None:
            try:
                client.health()
                return
            except errors.ClientError:
                time.sleep(0.2)
    finally:
        client.close()
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"medgan serve did not answer under {address} within {seconds:.0f} s.\n{tail}")
