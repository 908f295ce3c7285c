"""Several processes that train one model, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Processes:
    """This process among all of a training.

    Args:
        rank: its number; 0 writes files and shows progress.
        world: how many there are.
        local: its number on this machine, which is that of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """True for the one that writes."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes torchrun has started, by its environment variables; alone without them.

    NCCL connects GPUs, gloo CPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    here = Processes(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    if device == "cuda":
        torch.cuda.set_device(here.local)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield here
        distributed.barrier()  # none leaves while another still writes: its absence would end the other
    finally:
        distributed.destroy_process_group()


def everyone(flag: bool) -> bool:
    """True when any process says so; the same answer in each."""
    if not distributed.is_initialized():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    said = torch.tensor(int(flag), device=device)
    distributed.all_reduce(said, op=distributed.ReduceOp.MAX)
    return bool(said)
