"""Batches of numbered samples, prepared beside the training."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from medgan_core.data.samples import Samples

Batch = dict[str, Tensor]


class Batches:
    """An endless iterator over batches that counts how long the training waited for them.

    Args:
        samples: by number.
        batch: samples of a batch over all processes.
        start: number of the first batch.
        stop: number of the batch after the last.
        workers: processes that prepare them; 0 for none.
        rank: of this process, which gets its part of every batch.
        world: number of processes.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch: int,
        start: int,
        stop: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.waited = 0.0
        part = batch // world
        numbers = _Numbers(start * batch, stop * batch, part, rank, world)
        loader: DataLoader[Batch] = DataLoader(
            samples,  # type: ignore[arg-type]  # anything with __getitem__ serves
            batch_size=part,
            sampler=numbers,
            num_workers=workers,
            collate_fn=collate,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_one_thread,
        )
        self._iterator = iter(loader)

    def next(self, device: torch.device) -> Batch:
        """The next batch, on the device."""
        begin = time.monotonic()
        batch: Batch = next(self._iterator)
        self.waited += time.monotonic() - begin
        return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


class _Numbers:
    """Sample numbers in order, this process's part of each batch."""

    def __init__(self, start: int, stop: int, part: int, rank: int, world: int) -> None:
        self._range, self._part, self._rank, self._world = range(start, stop), part, rank, world

    def __iter__(self) -> Iterator[int]:
        for first in range(self._range.start, self._range.stop, self._part * self._world):
            yield from range(first + self._rank * self._part, first + (self._rank + 1) * self._part)

    def __len__(self) -> int:
        return len(self._range) // self._world


def collate(samples: list[Batch]) -> Batch:
    """Samples to a batch, (n, ...) each."""
    return {key: torch.stack([s[key] for s in samples]) for key in samples[0]}


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
