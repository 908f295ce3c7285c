"""The server under many clients: throughput, waiting times, memory, what a death costs, and a round trip.

    python benchmarks/server.py                     # 32 clients for 5 minutes
    python benchmarks/server.py --minutes 1 --clients 8

Starts `medgan serve` on loopback. Every client has an address of its own (127.0.0.x), submits a small volume,
polls, fetches the result, compares it with the first one and deletes every second job. A third through the
time the worker is killed, two thirds through the server is, and started again; clients go on. At the end it
prints what was done, 95th percentiles of the requests, the server's memory, and whether a finished job was
lost. Then `benchmarks/roundtrip.py` compares a round trip with MONAI Label's own server.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import requests
from requests.adapters import HTTPAdapter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import roundtrip
from benchmarks.served import Served, stock_server
from medgan_core import io as volumes
from medgan_core.volume import Geometry, Volume

SMALL = (48, 48, 24)
MODEL = "mr-denoise"
REQUEST = json.dumps({"model": MODEL, "settings": {"allow_unsuitable": True, "views": "1"}})
FINAL = ("done", "failed", "cancelled", "interrupted")


class From(HTTPAdapter):
    """Requests that come from an address of loopback."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: object, **options: object) -> None:
        """As ever, but bound to the address."""
        super().init_poolmanager(*args, **options, source_address=(self.address, 0))  # type: ignore[arg-type]


@dataclass
class Tally:
    """What all clients saw; each adds to it under the lock."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    states: Counter[str] = field(default_factory=Counter)
    kept: dict[str, bytes] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client(threading.Thread):
    """One person's program: a job after the other until the time is over."""

    def __init__(self, number: int, url: str, content: bytes, tally: Tally, end: float) -> None:
        super().__init__(daemon=True)
        self._url, self._content, self._tally, self._end = url, content, tally, end
        self._session = requests.Session()
        self._session.mount("http://", From(f"127.0.0.{number + 2}"))

    def run(self) -> None:
        """Until the end; a server that is gone for a moment is waited for."""
        count = 0
        while time.monotonic() < self._end:
            try:
                self._one(keep=count % 2 == 0)
                count += 1
            except requests.RequestException:
                time.sleep(0.5)

    def _one(self, *, keep: bool) -> None:
        files = {"request": (None, REQUEST), "image": ("image.nii", self._content)}
        answer = self._ask("submit", "POST", "/jobs", files=files)
        if answer.status_code != 202:
            self._note(f"refused {answer.json()['code']}")
            time.sleep(1.0)
            return
        job = answer.json()
        while job["state"] not in FINAL:
            time.sleep(0.25)
            job = self._ask("poll", "GET", f"/jobs/{job['id']}").json()
            if "state" not in job:
                self._tally.wrong.append(f"a job that was accepted is unknown: {job['code']}")
                return
        self._note(job["state"])
        if job["state"] == "interrupted":
            self._ask("resubmit", "POST", f"/jobs/{job['id']}/resubmit")
        elif job["state"] == "done":
            volume = self._ask("fetch", "GET", f"/jobs/{job['id']}/results/image").content
            with self._tally.lock:
                self._tally.kept[job["id"]] = volume
            if not keep:
                self._ask("delete", "DELETE", f"/jobs/{job['id']}")
                with self._tally.lock:
                    del self._tally.kept[job["id"]]

    def _ask(self, what: str, method: str, path: str, **more: object) -> requests.Response:
        start = time.perf_counter()
        answer = self._session.request(method, self._url + path, timeout=30, **more)  # type: ignore[arg-type]
        with self._tally.lock:
            self._tally.seconds[what].append(time.perf_counter() - start)
        if answer.status_code >= 500 and answer.status_code != 503:
            self._tally.wrong.append(f"{what}: {answer.status_code}")
        return answer

    def _note(self, state: str) -> None:
        with self._tally.lock:
            self._tally.states[state] += 1


def load(server: Served, minutes: float, clients: int, content: bytes) -> Tally:
    """Clients for so many minutes; worker and server are killed on the way."""
    tally, begin = Tally(), time.monotonic()
    end = begin + 60 * minutes
    threads = [Client(number, server.url, content, tally, end) for number in range(clients)]
    for thread in threads:
        thread.start()
    memory: list[tuple[float, float]] = []
    deaths = [(begin + 20 * minutes, server.kill_worker), (begin + 40 * minutes, server.kill_and_restart)]
    while time.monotonic() < end:
        if deaths and time.monotonic() > deaths[0][0]:
            deaths.pop(0)[1]()
        memory.append((time.monotonic() - begin, server.memory()))
        time.sleep(2.0)
    for thread in threads:
        thread.join(60)
    took = time.monotonic() - begin
    print(f"{clients} clients, {took:.0f} s: " + ", ".join(f"{n} {s}" for s, n in tally.states.items()))
    print(f"{tally.states['done'] / took:.2f} jobs/s\n\n| request | count | median ms | 95 % ms | most ms |")
    print("|---|---|---|---|---|")
    for what, seconds in tally.seconds.items():
        cells = (1000 * float(np.percentile(seconds, q)) for q in (50, 95, 100))
        print(f"| {what} | {len(seconds)} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")
    print("\nmemory of the server without its worker, MB: " + ", ".join(
        f"{size:.0f} at {when:.0f} s" for when, size in memory[:: max(1, len(memory) // 8)]
    ))  # fmt: skip
    return tally


def lost(server: Served, tally: Tally) -> int:
    """Finished jobs whose result is gone or changed."""
    found = 0
    for job, volume in tally.kept.items():
        answer = requests.get(f"{server.url}/jobs/{job}/results/image", timeout=30)
        found += answer.status_code != 200 or answer.content != volume
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--round-trips", type=int, default=5, help="of each way; the median is told")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(0)
        image = 500 + 100 * noise.standard_normal(SMALL, dtype=np.float32)
        volumes.write(Volume(image, Geometry(SMALL, np.eye(4))), folder / "small.nii")
        with Served.start(folder / "server") as server:
            tally = load(server, options.minutes, options.clients, (folder / "small.nii").read_bytes())
            print(f"\nfinished jobs lost: {lost(server, tally)} of {len(tally.kept)}")
            for line, count in Counter(tally.wrong).items():
                print(f"wrong: {line} ({count} times)")
            if options.round_trips:
                with stock_server(folder / "stock") as stock:
                    roundtrip.compare(server, stock, options.round_trips)


if __name__ == "__main__":
    main()
