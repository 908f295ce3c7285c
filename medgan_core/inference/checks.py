"""What `apply` refuses before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError, UsageError
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan


def channels(compiled: Compiled, keep: Sequence[int] | None) -> list[int]:
    """Channels of the answer that are wanted: values, then their log scales.

    Raises:
        UsageError: when a wanted output is not there.
    """
    outputs = compiled.signature.outputs
    wanted = list(range(outputs)) if keep is None else list(keep)
    if not wanted or not all(0 <= n < outputs for n in wanted):
        raise UsageError(
            "The wanted outputs are not there",
            expected=f"numbers from 0 to {outputs - 1}",
            got=str(wanted),
            action="ask for outputs the model has",
        )
    scales = [n + outputs for n in wanted] if compiled.channels == 2 * outputs else []
    return wanted + scales


def array(compiled: Compiled, array: NDArray[np.float32], presence: Sequence[bool]) -> None:
    """Refuse an array or flags that do not fit the network.

    Raises:
        InputError: when they do not.
    """
    contrasts = compiled.signature.contrasts
    if array.ndim != 4 or array.dtype != np.float32 or array.shape[0] != contrasts or min(array.shape) < 1:
        raise InputError(
            "The array does not fit the network",
            expected=f"float32 ({contrasts}, i, j, k)",
            got=f"{array.dtype} {array.shape}",
            action="preprocess the volumes with the settings of the model's card",
        )
    if len(presence) != contrasts or not any(presence):
        raise InputError(
            "The list of contrasts that are there does not fit the network",
            expected=f"{contrasts} flags, at least one of them true",
            got=str(list(presence)),
            action="give one flag per input of the model's card",
        )


def plan(compiled: Compiled, plan: Plan) -> None:
    """Refuse a plan that this network cannot replay.

    Raises:
        UsageError: when it was made for something else, or its sizes do not fit.
    """
    have = (compiled.device, compiled.backend, compiled.precision)
    if (plan.device, plan.backend, plan.precision) != have:
        raise UsageError(
            "The plan was made for another device, back end or precision",
            expected=" ".join(have),
            got=f"{plan.device} {plan.backend} {plan.precision}",
            action="prepare the network with the plan's device, back end and precision",
        )
    multiple = compiled.signature.multiple
    if plan.batch < 1 or plan.overlap < 0 or any(side < 1 or side % multiple for side in plan.tile):
        raise UsageError(
            "The plan cannot be replayed",
            expected=f"a positive batch and a tile in multiples of {multiple}",
            got=str(plan.to_dict()),
            action="use a plan as it was recorded",
        )
