"""What each server adds to the engine's own time, for one 256x256x180 float32 volume on loopback.

    python benchmarks/roundtrip.py

The same volume goes through `medgan serve` and through MONAI Label's own server, in the way its Slicer module
takes and uncompressed. Timed from an array in memory to one in memory, so a client's own files count, packed
or not; the engine's stages on the volume (from loading the model to the inverse) are taken off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "slicer_extension" / "MedGAN"))

from MedGANLib.multipart import MultipartBody

from benchmarks.phantom import noisy, phantom
from benchmarks.served import Served, stock_server
from medgan_core import io as volumes
from medgan_core.volume import Geometry, Volume

SHAPE = (256, 256, 180)
MODEL = "mr-denoise"
SETTINGS = {"allow_unsuitable": True, "views": "1"}
_NOT_ENGINE = ("read", "write")
_POLL_S = 0.02
_BLOCK = 1 << 20

Parts = dict[str, float]


class Clock:
    """Seconds of the parts of one round trip."""

    def __init__(self) -> None:
        self.parts: Parts = {}
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        """What was done since the last call was this part."""
        now = time.perf_counter()
        self.parts[part], self._last = now - self._last, now


def by_job(url: str, image: Volume, folder: Path) -> Parts:
    """Through the job API, uncompressed."""
    clock, path = Clock(), folder / "image.nii"
    volumes.write(image, path)
    clock("pack")
    request = json.dumps({"model": MODEL, "settings": SETTINGS})
    body = MultipartBody({"request": request}, {"image": path})
    job = requests.post(
        f"{url}/jobs", data=body, headers={"Content-Type": body.content_type}, timeout=60
    ).json()
    clock("upload")
    while job["state"] in ("queued", "running"):
        time.sleep(_POLL_S)
        job = requests.get(f"{url}/jobs/{job['id']}", timeout=10).json()
    clock("work")
    if job["state"] != "done":
        raise SystemExit(str(job["error"]))
    with requests.get(f"{url}/jobs/{job['id']}/results/image", timeout=60, stream=True) as answer:
        _save(answer, path)
    clock("download")
    volumes.read(path)
    clock("unpack")
    report = requests.get(f"{url}/jobs/{job['id']}/report", timeout=10).json()
    requests.delete(f"{url}/jobs/{job['id']}", timeout=10)
    return _without_engine(clock.parts, report)


def _save(answer: requests.Response, path: Path) -> None:
    with path.open("wb") as out:
        for block in answer.iter_content(_BLOCK):
            out.write(block)


def by_stock(url: str, image: Volume, folder: Path, sent: str, given: str) -> Parts:
    """Through a session and `/infer`, as MONAI Label's Slicer module does.

    Args:
        url: of the server.
        image: to send.
        folder: for the client's files.
        sent: ending of the uploaded file.
        given: ending of the answer.
    """
    clock, path = Clock(), folder / f"image{sent}"
    volumes.write(image, path)
    clock("pack")
    with path.open("rb") as stream:
        session = requests.put(f"{url}/session/", files={"files": (path.name, stream)}, timeout=60).json()
    clock("upload")
    answer = requests.post(
        f"{url}/infer/{MODEL}?session_id={session['session_id']}&output=all",
        data={"params": json.dumps({**SETTINGS, "result_extension": given})},
        timeout=300,
    )
    clock("work")
    head, _, body = answer.content.partition(b'name="image"')
    back = folder / f"back{given}"
    back.write_bytes(body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")])
    clock("download")
    volumes.read(back)
    clock("unpack")
    return _without_engine(clock.parts, json.loads(head[head.index(b"{") : head.rindex(b"}") + 1]))


def _without_engine(parts: Parts, report: dict[str, dict[str, dict[str, float]]]) -> Parts:
    """Parts with the engine's stages apart, and what is left."""
    stages = report["provenance"]["seconds"]
    engine = sum(seconds for stage, seconds in stages.items() if stage not in _NOT_ENGINE)
    told = parts | {"work": parts["work"] - engine}
    return told | {"added": sum(told.values()), "engine": engine}


def compare(server: Served, stock: Served, count: int) -> None:
    """Print the median round trip of each way."""
    # First axis fastest, as files, ITK and VTK hold volumes.
    array = np.asfortranarray(noisy(phantom(SHAPE)["T1"], 0.05))
    image = Volume(array, Geometry(SHAPE, np.eye(4)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways: dict[str, Callable[[], Parts]] = {
            "job, uncompressed": lambda: by_job(server.url, image, folder),
            "stock, .nii.gz session, .nrrd back (Slicer's way)": lambda: by_stock(
                stock.url, image, folder, ".nii.gz", ".nrrd"
            ),
            "stock, .nii session, .nii back": lambda: by_stock(stock.url, image, folder, ".nii", ".nii"),
        }
        keys = ("added", "pack", "upload", "work", "download", "unpack", "engine")
        print("\n| way | " + " | ".join(f"{key} s" for key in keys) + " |\n|" + "---|" * (len(keys) + 1))
        for way in ways.values():
            way()  # loads the model
        runs: dict[str, list[Parts]] = {name: [] for name in ways}
        for _ in range(count):
            for name, way in ways.items():
                runs[name].append(way())
        for name, found in runs.items():
            middle = sorted(found, key=lambda parts: parts["added"])[len(found) // 2]
            print(f"| {name} | " + " | ".join(f"{middle[key]:.2f}" for key in keys) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5, help="round trips of each way; the median is told")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Served.start(folder / "server") as server, stock_server(folder / "stock") as stock:
            compare(server, stock, options.count)


if __name__ == "__main__":
    main()
