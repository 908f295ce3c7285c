"""Time, memory and the matrix-product peak, measured so that a busy machine misleads least."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch


@contextmanager
def peak_memory(device: str) -> Iterator[dict[str, float]]:
    """The most memory taken inside of the block, in MiB above what was taken before."""
    found = {"MiB": 0.0}
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found["MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
        return
    process, stop = psutil.Process(), threading.Event()
    start = process.memory_info().rss

    def watch() -> None:
        while not stop.wait(0.02):
            found["MiB"] = max(found["MiB"], (process.memory_info().rss - start) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def seconds(work: Callable[[], Any], device: str) -> float:
    """Wall time, the device's queue included."""
    begin = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def product(precision: str, device: str) -> tuple[Callable[[], Any], float]:
    """A large matrix product in a precision, and its floating-point operations."""
    side = 8192 if device.startswith("cuda") else 2048
    if precision == "int8":  # torch has this product under no public name
        whole = [torch.randint(-127, 128, (side, side), dtype=torch.int8, device=device) for _ in range(2)]
        return lambda: torch._int_mm(*whole), 2.0 * side**3
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    return lambda: torch.mm(a, b), 2.0 * side**3


def in_turns(works: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each piece of work, one after the other in every round, after one round unmeasured."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, device))
    return times
