"""The steps of a plan: cut slabs, run the network, put its answer in place, report, repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medgan_core.inference import tiles
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan
from medgan_core.inference.slabs import slabs
from medgan_core.monitor import Monitor


@dataclass(frozen=True)
class Job:
    """A prepared network, the contrasts that are there, the channels wanted, and the plan."""

    compiled: Compiled
    presence: Sequence[bool]
    channels: Sequence[int]
    plan: Plan


class Cutter:
    """Cuts slabs into a buffer that is used again while the size stays the same."""

    def __init__(self, job: Job) -> None:
        signature = job.compiled.signature
        self._slices = signature.slices
        self._presence = job.presence if signature.presence else None
        self._buffer: Tensor | None = None

    def __call__(self, volume: Tensor, batch: range) -> Tensor:
        """(c, i, j, k) to (n, channels, i, j); the last answer is overwritten."""
        wanted = (len(batch), *volume.shape[1:3])
        have = None if self._buffer is None else (self._buffer.shape[0], *self._buffer.shape[2:])
        out = self._buffer if have == wanted else None
        self._buffer = slabs(volume, batch, self._slices, self._presence, out=out)
        return self._buffer


def run(job: Job, array: NDArray[np.float32], monitor: Monitor) -> NDArray[np.float32]:
    """All steps of a plan.

    Args:
        job: what to do.
        array: (c, i, j, k).
        monitor: told after every step.

    Returns:
        (channels, i, j, k) float32.
    """
    rows, columns, depth = array.shape[1:]
    volume = _stage(array, job.compiled)
    out = torch.empty((len(job.channels), depth, rows, columns), device=volume.device)
    step = _whole if job.plan.tile == tuple(volume.shape[1:3]) else _tiled
    batches = [range(at, min(at + job.plan.batch, depth)) for at in range(0, depth, job.plan.batch)]
    cut = Cutter(job)
    monitor.step(0.0)
    for number, batch in enumerate(batches):
        for part in step(job, cut, volume, batch, out[:, batch.start : batch.stop]):
            if volume.device.type == "cuda":
                torch.cuda.current_stream(volume.device).synchronize()
            monitor.step((number + part) / len(batches))
    return _to_host(out)


def _whole(job: Job, cut: Cutter, volume: Tensor, batch: range, target: Tensor) -> Iterator[float]:
    """Whole slices in one step into (channels, n, i, j). Yields the fraction done."""
    answer = job.compiled(cut(volume, batch))
    for channel, place in zip(job.channels, target, strict=True):
        place.copy_(answer[:, channel, : place.shape[1], : place.shape[2]])
    yield 1.0


def _tiled(job: Job, cut: Cutter, volume: Tensor, batch: range, target: Tensor) -> Iterator[float]:
    """Tile after tile, blended on the device into (channels, n, i, j). Yields the fraction done."""
    _, rows, columns, _ = volume.shape
    windows = [
        (top, left, by_row[:, None] * by_column)
        for top, by_row in _side(job, rows, job.plan.tile[0], volume.device)
        for left, by_column in _side(job, columns, job.plan.tile[1], volume.device)
    ]
    blend = volume.new_zeros((len(job.channels), len(batch), rows, columns))
    for done, (top, left, weight) in enumerate(windows):
        if done:
            yield done / len(windows)
        down, across = slice(top, top + weight.shape[0]), slice(left, left + weight.shape[1])
        answer = job.compiled(cut(volume[:, down, across], batch))
        for channel, place in zip(job.channels, blend[:, :, down, across], strict=True):
            place.addcmul_(answer[:, channel], weight)
    target.copy_(blend[:, :, : target.shape[2], : target.shape[3]])
    yield 1.0


def _side(job: Job, size: int, tile: int, device: torch.device) -> list[tuple[int, Tensor]]:
    """Where tiles begin along one side, each with its weights."""
    begins = tiles.starts(size, tile, job.plan.overlap, job.compiled.signature.multiple)
    weights = tiles.weights(size, min(tile, size), job.plan.overlap, begins).to(device)
    return list(zip(begins, weights, strict=True))


def _stage(array: NDArray[np.float32], compiled: Compiled) -> Tensor:
    """The volume on the device, padded: a (c, i, j, k) view of memory in which slices are contiguous."""
    multiple = compiled.signature.multiple
    source = torch.from_numpy(array).to(compiled.torch_device).permute(0, 3, 1, 2)
    contrasts, depth, rows, columns = source.shape
    height, width = tiles.padded(rows, multiple), tiles.padded(columns, multiple)
    stack = torch.empty((contrasts, depth, height, width), device=source.device)
    stack[:, :, :rows, :columns] = source
    stack[:, :, rows:, :columns] = stack[:, :, rows - 1 : rows, :columns]
    stack[:, :, :, columns:] = stack[:, :, :, columns - 1 : columns]
    return stack.permute(0, 2, 3, 1)


def _to_host(out: Tensor) -> NDArray[np.float32]:
    """(channels, k, i, j) on a device to (channels, i, j, k) in the host's memory; a view on the CPU."""
    out = out.permute(0, 2, 3, 1)
    if out.device.type == "cuda":
        host = torch.empty(out.shape, pin_memory=True)
        host.copy_(out.contiguous(), non_blocking=True)
        torch.cuda.current_stream(out.device).synchronize()
        out = host
    values: NDArray[np.float32] = out.numpy()
    return values
