"""What the server adds to the engine's own time, for one 256x256x180 float32 volume on loopback.

    python benchmarks/roundtrip.py

Starts `medgan serve`, denoises the same volume several times, and prints per run: upload, waiting, the
engine's stages, download, and what is left when the engine's stages are taken from the whole. The start of
the server, until its worker is ready, is printed apart: a person waits for it once, before any job.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.speed import noisy, phantom
from medgan_core import io as volumes
from medgan_core.volume import Geometry, Volume

SHAPE, RUNS, PORT = (256, 256, 180), 4, 8791


def one(server: str, content: bytes) -> dict[str, float]:
    """Seconds of one job's parts."""
    request = {"model": "mr-denoise", "settings": {"allow_unsuitable": True}}
    start = time.perf_counter()
    files = {
        "request": (None, json.dumps(request), "application/json"),
        "image": ("image.nii", io.BytesIO(content)),
    }
    job = requests.post(f"{server}/jobs", files=files, timeout=60).json()
    uploaded = time.perf_counter()
    while job["state"] in ("queued", "running"):
        time.sleep(0.02)
        job = requests.get(f"{server}/jobs/{job['id']}", timeout=10).json()
    done = time.perf_counter()
    if job["state"] != "done":
        raise SystemExit(str(job["error"]))
    size = len(requests.get(f"{server}/jobs/{job['id']}/results/image", timeout=60).content)
    end = time.perf_counter()
    report = requests.get(f"{server}/jobs/{job['id']}/report", timeout=10).json()
    requests.delete(f"{server}/jobs/{job['id']}", timeout=10)
    engine = sum(report["provenance"]["seconds"].values())
    return {
        "upload": uploaded - start,
        "job": done - uploaded,
        "engine": engine,
        "download": end - done,
        "added": end - start - engine,
        "MiB": size / 2**20,
    }


def ready(server: str) -> float:
    """Wait until the worker is idle; seconds."""
    start = time.perf_counter()
    while time.perf_counter() - start < 180:
        try:
            workers = requests.get(f"{server}/health", timeout=1).json()["workers"]
            if all(worker["state"] == "idle" for worker in workers):
                return time.perf_counter() - start
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def main() -> None:
    image = noisy(phantom(SHAPE)["T1"], 0.05)
    with tempfile.TemporaryDirectory() as folder:
        volumes.write(Volume(image, Geometry(SHAPE, np.eye(4))), Path(folder) / "image.nii")
        content = (Path(folder) / "image.nii").read_bytes()
        command = [sys.executable, "-c", "import sys; from medgan_core.cli import main; sys.exit(main())"]
        command += ["serve", "--port", str(PORT)]
        command += ["--studies", f"{folder}/studies", "--data-dir", f"{folder}/data"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{PORT}"
            print(f"server and worker ready after {ready(address):.1f} s\n")
            print("| run | upload s | job s | of it engine s | download s | added s |")
            print("|---|---|---|---|---|---|")
            for run in range(RUNS):
                got = one(address, content)
                cells = (got[k] for k in ("upload", "job", "engine", "download", "added"))
                print(f"| {run + 1} | " + " | ".join(f"{c:.2f}" for c in cells) + " |", flush=True)
        finally:
            server.terminate()
            server.wait(timeout=20)


if __name__ == "__main__":
    main()
