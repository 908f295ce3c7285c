"""Apply a prepared network to a whole volume, slice by slice, in a planned amount of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from medgan_core.errors import ResourceError
from medgan_core.inference import checks
from medgan_core.inference import plan as planning
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan
from medgan_core.inference.steps import Job, run
from medgan_core.monitor import Monitor

_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "bad alloc",
    "bad_alloc",
    "allocate memory",
    "failed to allocate",
    "memory allocation",
)


@dataclass(frozen=True, eq=False)
class Applied:
    """What a network answered for a volume.

    Args:
        values: (o, i, j, k) float32, on the network's grid and scale; any strides.
        log_scales: (o, i, j, k) float32, natural logarithms; None when the network has no scale head.
        plan: how it was computed; given back to `apply` it gives the same voxels.
        notes: what a person should know, for example that memory ran out and the plan was made smaller.
    """

    values: NDArray[np.float32]
    log_scales: NDArray[np.float32] | None
    plan: Plan
    notes: tuple[str, ...] = ()


def apply(
    compiled: Compiled,
    array: NDArray[np.float32],
    *,
    presence: Sequence[bool],
    memory_limit: int | None = None,
    tile: tuple[int, int] | None = None,
    keep: Sequence[int] | None = None,
    plan: Plan | None = None,
    monitor: Monitor | None = None,
) -> Applied:
    """Run a slab network over every slice (the last axis) of a volume.

    Sides that are no multiple of the network's are padded by repeating the edge and cropped again.

    Args:
        compiled: from `prepare`.
        array: (c, i, j, k) float32 on the network's grid and scale, zeros where a contrast is missing.
        presence: for each contrast whether it is there.
        memory_limit: bytes that may be taken beside the input; None for most of what is free.
        tile: wished height and width of a step; None for whole slices when they fit.
        keep: outputs wanted, in this order; None for all.
        plan: replay this one exactly, instead of making one.
        monitor: told after every step; a step is shorter than a second.

    Raises:
        InputError: when the array does not fit the network.
        UsageError: when `plan` was made for another device, back end or precision, or `keep` is wrong.
        ResourceError: when memory does not suffice even for the smallest steps.
        CancelledError: when the monitor was asked to stop.
    """
    checks.array(compiled, array, presence)
    shape = (array.shape[1], array.shape[2], array.shape[3])
    channels = checks.channels(compiled, keep)
    if plan is None:
        plan = planning.make(compiled, shape, kept=len(channels), memory_limit=memory_limit, tile=tile)
    else:
        checks.plan(compiled, plan)
    watch = Monitor() if monitor is None else monitor
    notes: list[str] = []
    while (answer := _attempt(Job(compiled, presence, channels, plan), array, watch)) is None:
        plan = _less(plan, compiled, shape, len(channels))
        notes.append(f"memory ran out; went on with {plan.batch} slices of {plan.tile[0]}x{plan.tile[1]}")
    count = compiled.signature.outputs if keep is None else len(keep)
    log_scales = answer[count:] if answer.shape[0] > count else None
    return Applied(answer[:count], log_scales, plan, tuple(notes))


def _attempt(job: Job, array: NDArray[np.float32], monitor: Monitor) -> NDArray[np.float32] | None:
    """The answer (channels, i, j, k), or None when memory ran out."""
    try:
        with torch.inference_mode():
            return run(job, array, monitor)
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
            return None
        raise


def _less(plan: Plan, compiled: Compiled, shape: tuple[int, int, int], kept: int) -> Plan:
    """The next smaller plan.

    The run starts again from the first slice with it, so that the plan in the report is the one every
    voxel was computed with.

    Raises:
        ResourceError: when there is none.
    """
    less = planning.smaller(plan, compiled, shape)
    if less is None:
        raise ResourceError(
            "Memory ran out even with the smallest steps",
            expected=f"{plan.memory / 2**20:.0f} MiB on {plan.device}",
            got="an out-of-memory error",
            action="close other programs, crop the volume, or choose another device",
        )
    if compiled.torch_device.type == "cuda":
        torch.cuda.empty_cache()
    return replace(less, memory=planning.estimate(compiled, shape, kept, less))
