"""Super-resolution across the slices: thin slices from thick ones, on a grid of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.card import ModelCard
from medgan_core.errors import ModelError
from medgan_core.inference.appliers.application import Answer, Application, notes, voxels
from medgan_core.inference.apply import apply
from medgan_core.inference.plan import Plan
from medgan_core.inference.views import View, Views
from medgan_core.report import Row
from medgan_core.volume import Geometry, Volume

_NORMALS = (1, 0)
"""Axes of the network's array that the planes stand on; both kinds of planes contain the slice axis, 2."""


def refine(work: Application) -> Answer:
    """As many thin slices for each slice as the card says, within the same outer faces.

    The volume is cut into the two sets of planes that contain the slice axis. In each the network corrects
    linear interpolation; the mean of both corrections, computed with pixels that suit the network, is added
    to the linear interpolation of the volume's own pixels. Values are in the scale of the input, and where
    it is exactly zero (background that was removed) the result is.

    Raises:
        ModelError: when card and network do not agree on the number of slices.
        MedganError: as `inference.apply` does.
    """
    image, monitor = work.first, work.monitor
    factor = _factor(work.card, work.target, work.compiled.signature.outputs)
    with monitor.stage("preprocess", 0.2):
        array, placement = preprocess.forward(work.card.preprocess, [image])
    with monitor.stage("network", 0.9):
        correction, views, remarks = _corrected(work, array)
    with monitor.stage("inverse", 1.0):
        added = preprocess.inverse(work.card.preprocess, correction, placement).data
        monitor.step(0.4)
        axis = placement.axes[preprocess.SLICES]
        source = voxels(image)
        thin = interpolated(source, axis, factor)
        monitor.step(0.7)
        thin += added[::-1] if preprocess.SLICES in placement.flips else added
        if source.min() >= 0:
            np.maximum(thin, 0.0, out=thin)
        thin[:, source == 0] = 0.0
        result = Volume(interleaved(thin, axis), finer(image.geometry, axis, factor))
    distance = image.geometry.spacing[axis]
    told = Row("Distance of the slices", float(f"{distance / factor:.3g}"), f"mm, was {distance:.3g}")
    return Answer(volumes={work.target: result}, views=views, rows=(*notes(remarks), told))


def finer(geometry: Geometry, axis: int, factor: int) -> Geometry:
    """The grid with `factor` voxels for each along one axis and the same outer faces.

    Example:
        >>> finer(Geometry((5, 5, 3), np.diag([1.0, 1, 4, 1])), 2, 4).affine[2]
        array([ 0. ,  0. ,  1. , -1.5])
    """
    affine = geometry.affine.copy()
    step = geometry.affine[:, axis] / factor
    affine[:, axis] = step
    affine[:, 3] -= (factor - 1) / 2 * step
    i, j, k = (n * factor if a == axis else n for a, n in enumerate(geometry.shape))
    return Geometry((i, j, k), affine)


def interpolated(array: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    """Linear interpolation at the centres of the thin voxels; beyond the ends the last slice is repeated.

    Args:
        array: (i, j, k).
        axis: across the slices.
        factor: thin slices per thick one.

    Returns:
        (factor, i, j, k): thin slice p of each thick one.
    """
    count = array.shape[axis]
    index = np.arange(count)
    beside = {step: array.take((index + step).clip(0, count - 1), axis) for step in (-1, 1)}
    out = np.empty((factor, *array.shape), dtype=np.float32)
    for p, thin in enumerate(out):
        place = (p + 0.5) / factor - 0.5
        np.multiply(array, np.float32(1 - abs(place)), out=thin)
        thin += np.float32(abs(place)) * beside[1 if place > 0 else -1]
    return out


def interleaved(thin: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """(factor, i, j, k) to (i, j, k) with `factor` times as many voxels along the axis."""
    shape = [n * len(thin) if a == axis else n for a, n in enumerate(thin.shape[1:])]
    return np.moveaxis(thin, 0, axis + 1).reshape(shape)


def _corrected(
    work: Application, array: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Views, tuple[str, ...]]:
    """Mean correction of both sets of planes.

    Args:
        work: what to do.
        array: (1, i, j, k).

    Returns:
        (factor, i, j, k), how it was computed, and remarks.
    """
    total: NDArray[np.float32] | None = None
    done: list[View] = []
    remarks: list[str] = []
    for number, (normal, plan) in enumerate(zip(_NORMALS, work.plans(_NORMALS), strict=True)):
        with work.monitor.share(number / len(_NORMALS), (number + 1) / len(_NORMALS)):
            one, plan, said = _in_planes(work, array, normal, plan)
        total = one if total is None else total + one
        done.append(View(axis=normal, plan=plan))
        remarks += said
    assert total is not None
    return total / np.float32(len(done)), Views(views=tuple(done)), tuple(remarks)


def _in_planes(
    work: Application, array: NDArray[np.float32], normal: int, plan: Plan | None
) -> tuple[NDArray[np.float32], Plan, tuple[str, ...]]:
    """Corrections in the planes that stand on one axis, in the order of the array's axes."""
    within = 1 - normal
    order = (0, 1 + within, 1 + preprocess.SLICES, 1 + normal)
    applied = apply(
        work.compiled,
        array.transpose(order),
        presence=(True,),
        memory_limit=work.memory_limit,
        plan=plan,
        monitor=work.monitor,
    )
    return applied.values.transpose(np.argsort(order)), applied.plan, applied.notes


def _factor(card: ModelCard, target: str, outputs: int) -> int:
    declared = next(port.slice_factor for port in card.outputs if port.key == target)
    if declared != outputs:
        raise ModelError(
            f"The card of {card.name!r} and its network do not agree",
            expected=f"{declared} thin slices for each slice",
            got=str(outputs),
            action="publish the model again",
        )
    return declared
