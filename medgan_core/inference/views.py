"""Several views of one volume: its slices along more than one axis, predicted apart and averaged.

A network of slabs sees few slices, so on volumes with cubic voxels every axis shows it something new, and
what it gets wrong in one view is partly independent of the others. Source: Roth et al., "A new 2.5D
representation for lymph node detection", MICCAI 2014, who average random views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import UsageError
from medgan_core.inference.apply import apply
from medgan_core.inference.compiled import Compiled
from medgan_core.inference.plan import Plan
from medgan_core.monitor import Monitor
from medgan_core.parsing import parse

SLICES = 2
"""The axis of the slices in the network's array."""

_CUBIC = 1.25
_LEAST = 16


@dataclass(frozen=True, kw_only=True)
class View:
    """Slices along one spatial axis (0, 1 or 2 of the network's array), and how they were computed."""

    axis: int
    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Views:
    """What was averaged; given back to `apply_views` it gives the same voxels."""

    views: tuple[View, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"views": [{"axis": v.axis, "plan": v.plan.to_dict()} for v in self.views]}

    @staticmethod
    def from_dict(plain: dict[str, Any]) -> Views:
        """Read views back.

        Raises:
            ModelError: on a missing or unknown key or a value of the wrong type.
        """
        return parse(Views, plain, where="plan")


@dataclass(frozen=True, eq=False)
class Viewed:
    """What a network answered for a volume: as `apply.Applied`, with the views that were averaged."""

    values: NDArray[np.float32]
    log_scales: NDArray[np.float32] | None
    views: Views
    notes: tuple[str, ...] = ()


def axes_for(shape: Sequence[int], spacing: Sequence[float], wanted: int) -> tuple[int, ...]:
    """The axes to look along: three where voxels are nearly cubes and no side is short, else the slices' own.

    Args:
        shape: of the network's array, (i, j, k).
        spacing: of its voxels in mm.
        wanted: 1 or 3 views.
    """
    cubic = max(spacing) <= _CUBIC * min(spacing) and min(shape) >= _LEAST
    return (SLICES, 1, 0) if wanted == 3 and cubic else (SLICES,)


def apply_views(
    compiled: Compiled,
    array: NDArray[np.float32],
    *,
    presence: Sequence[bool],
    axes: Sequence[int] = (SLICES,),
    memory_limit: int | None = None,
    keep: Sequence[int] | None = None,
    views: Views | None = None,
    each: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
    monitor: Monitor | None = None,
) -> Viewed:
    """`apply` along each of some axes; values are averaged, of the predicted scales the logarithms.

    Args:
        compiled: from `prepare`.
        array: (c, i, j, k) float32.
        presence: see `apply`.
        axes: to look along, each once.
        memory_limit: see `apply`; bytes for each view.
        keep: see `apply`.
        views: replay these exactly; `axes` is not looked at then.
        each: done to the values (o, i, j, k) of each view before they are averaged; it may write over them.
        monitor: told after every step.

    Raises:
        UsageError: when the axes are none of a volume's, on a record without views, and as `apply`.
        MedganError: as `apply` does.
    """
    if views is None and (len(axes) == 0 or sorted(set(axes)) != sorted(axes) or not set(axes) <= {0, 1, 2}):
        raise UsageError(
            "These are no views of a volume",
            expected="one or more of the axes 0, 1 and 2, each once",
            got=str(tuple(axes)),
        )
    if views is not None and not views.views:
        raise UsageError(
            "The plan was made for another model",
            expected="one with slices along one axis or more",
            got="none",
            action="replay a plan with the model it was recorded for",
        )
    watch = Monitor() if monitor is None else monitor
    chosen = [(axis, None) for axis in axes] if views is None else [(v.axis, v.plan) for v in views.views]
    done: list[View] = []
    notes: list[str] = []
    values: NDArray[np.float32] | None = None
    log_scales: NDArray[np.float32] | None = None
    for number, (axis, plan) in enumerate(chosen):
        with watch.share(number / len(chosen), (number + 1) / len(chosen)):
            one = apply(
                compiled,
                np.swapaxes(array, 1 + axis, 1 + SLICES),
                presence=presence,
                memory_limit=memory_limit,
                keep=keep,
                plan=plan,
                monitor=watch,
            )
        done.append(View(axis=axis, plan=one.plan))
        notes += one.notes
        values = _added(values, one.values if each is None else each(one.values), axis)
        if one.log_scales is not None:
            log_scales = _added(log_scales, one.log_scales, axis)
    assert values is not None
    if len(done) > 1:
        values /= len(done)
        if log_scales is not None:
            log_scales /= len(done)
    return Viewed(values, log_scales, Views(views=tuple(done)), tuple(notes))


def _added(total: NDArray[np.float32] | None, answer: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The sum so far and one view's answer, (o, i, j, k) again."""
    upright = np.swapaxes(answer, 1 + axis, 1 + SLICES)
    if total is None:
        return upright
    total += upright
    return total
