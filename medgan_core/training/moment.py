"""What a loss may know of the moment it is asked at, and where its random numbers come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """One step of one player.

    Random numbers are a function of the seed, the update, the player and the order of the calls alone, so a
    resumed run draws what an uninterrupted one draws. With several processes the numbers are drawn for the
    whole batch and each process takes its part, so that they agree with one process on the same batch.

    Args:
        step: updates done before this one.
        updates: of the whole run.
        generator: of this step, on the device; use `normal` and `uniform` for what has a batch axis.
        device: where the networks are.
        rank: number of this process.
        world: number of processes.
    """

    step: int
    updates: int
    generator: torch.Generator
    device: torch.device
    rank: int = 0
    world: int = 1

    @staticmethod
    def at(
        step: int,
        updates: int,
        *,
        seed: tuple[int, ...],
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ) -> Moment:
        """The moment with a generator seeded from a tuple of numbers."""
        state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1
        return Moment(
            step, updates, torch.Generator(device).manual_seed(state), device, rank=rank, world=world
        )

    @property
    def done(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return self.step / max(1, self.updates)

    def due(self, every: int) -> bool:
        """True at every n-th update: for penalties that are computed lazily (weighted n times)."""
        return self.step % every == 0

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers; the first axis is this process's part of the batch."""
        whole = torch.randn(self._whole(shape), generator=self.generator, device=self.device)
        return self._part(whole)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1); the first axis is this process's part of the batch."""
        whole = torch.rand(self._whole(shape), generator=self.generator, device=self.device)
        return self._part(whole)

    def _whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self.world, *shape[1:])

    def _part(self, whole: Tensor) -> Tensor:
        return whole.chunk(self.world)[self.rank]
