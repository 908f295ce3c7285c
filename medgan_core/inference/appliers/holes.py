"""Inpainting: a marked region filled from what surrounds it, and nothing else touched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.errors import InputError
from medgan_core.inference.appliers.application import Answer, Application, notes, voxels
from medgan_core.inference.apply import apply
from medgan_core.inference.views import View, Views
from medgan_core.monitor import Monitor
from medgan_core.report import Row
from medgan_core.volume import Volume

_LARGEST = 20.0
"""Percent of a slice that the largest holes of the training cover."""


def fill(work: Application) -> Answer:
    """The image with every voxel of the mask (any value but 0) replaced, slice by slice.

    Outside of the mask voxels keep their value bit for bit; the type is float32, or float64 where the
    input's values do not fit. What the image holds inside of the mask is not looked at.

    Raises:
        InputError: when the mask leaves nothing to go by.
        MedganError: as `inference.apply` does.
    """
    image = work.first
    mask = _mask(work)
    (plan,) = work.plans((preprocess.SLICES,))
    with work.monitor.stage("preprocess", 0.4):
        shown = image.with_data(closed(voxels(image), mask, image, work.monitor))
        array, placement = preprocess.forward(work.card.preprocess, [shown])
        hole = preprocess.place_mask(mask, placement)
    with work.monitor.stage("network", 0.9):
        slices = np.flatnonzero(hole.any(axis=(0, 1)))
        both = np.stack([array[0][..., slices], hole[..., slices].astype(np.float32)])
        applied = apply(
            work.compiled,
            both,
            presence=(True, True),
            memory_limit=work.memory_limit,
            plan=plan,
            monitor=work.monitor,
        )
    with work.monitor.stage("inverse", 1.0):
        array[0][..., slices] = np.where(hole[..., slices], applied.values[0], both[0])
        filled = preprocess.inverse(work.card.preprocess, array, placement).data[0]
        if voxels(image).min() >= 0:
            np.maximum(filled, 0.0, out=filled)
        source = image.data[0]
        result = np.where(mask, filled, source).astype(np.result_type(source.dtype, np.float32))
    return Answer(
        volumes={work.target: image.with_data(result)},
        views=Views(views=(View(axis=preprocess.SLICES, plan=applied.plan),)),
        rows=(*notes(applied.notes), *_rows(mask, image)),
    )


def _mask(work: Application) -> NDArray[np.bool_]:
    """The region to fill, (i, j, k)."""
    key = work.card.label_inputs[0]
    mask = np.asarray(work.volumes[key].data[0] != 0)
    if mask.all():
        raise InputError(
            f"The mask {key} covers the whole image",
            expected="a region with something around it, which it is filled from",
            got="a mask in which every voxel is marked",
            action="draw a smaller region",
        )
    return mask


def closed(
    array: NDArray[np.float32], mask: NDArray[np.bool_], image: Volume, monitor: Monitor
) -> NDArray[np.float32]:
    """The array with each voxel of the mask as the nearest known one of its slice, so that none leaks out.

    Resampling, scale and foreground are then those of the known voxels. A slice without any becomes 0.

    Args:
        array: (i, j, k).
        mask: the same shape.
        image: on whose grid they are.
        monitor: told after every slice.
    """
    from scipy import ndimage

    rows, columns, across = preprocess.slice_axes(image.geometry)[0]
    sampling = [image.geometry.spacing[a] for a in sorted((rows, columns))]
    out = array.copy()
    slices, holes = np.moveaxis(out, across, 0), np.moveaxis(mask, across, 0)
    marked = np.flatnonzero(holes.any(axis=(1, 2)))
    for number, k in enumerate(marked):
        if holes[k].all():
            slices[k] = 0.0
        else:
            near = ndimage.distance_transform_edt(
                holes[k], sampling, return_distances=False, return_indices=True
            )
            slices[k] = slices[k][tuple(near)]
        monitor.step((number + 1) / len(marked))
    return out


def _rows(mask: NDArray[np.bool_], image: Volume) -> list[Row]:
    """How much was filled."""
    across = preprocess.slice_axes(image.geometry)[0][preprocess.SLICES]
    volume = np.count_nonzero(mask) * abs(float(np.linalg.det(image.geometry.affine[:3, :3]))) / 1000
    share = 100 * float(np.moveaxis(mask, across, 0).mean(axis=(1, 2)).max())
    return [
        Row("Filled, invented by the model", float(f"{volume:.3g}"), "mL"),
        Row(
            "Largest hole in a slice",
            float(f"{share:.3g}"),
            "% of the slice",
            f"{_LARGEST:g}",
            "pass" if share <= _LARGEST else "caution",
        ),
    ]
