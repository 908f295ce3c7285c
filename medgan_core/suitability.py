"""Does an input look like what a model's card was made for? Rows for the report, and a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medgan_core.card import Domain, Label, Port
from medgan_core.errors import InputError
from medgan_core.foreground import otsu, percentile_scale
from medgan_core.preprocess import slice_axes, slice_ratio
from medgan_core.report import Row, Verdict
from medgan_core.volume import Volume

GATE_GRID = (40, 48, 40)
GATE_SPACING_MM = 5.0
GATE_CLASSES = ("brain", "T1", "T1post", "T2", "FLAIR", "PD")
"""Logits of the gate: the first says whether it is a head or brain in MR, the others which contrast."""

_LOOKALIKE = {"T1": ("T1", "T1post"), "T1post": ("T1", "T1post"), "T2": ("T2", "PD")}
_ENDS = (1.0, 99.0)  # percentiles of foreground coordinates: a few bright specks do not move the middle
_BRAIN_REFUSE, _BRAIN_CAUTION = 0.5, 0.9
_CONTRAST_REFUSE, _CONTRAST_CAUTION = 0.02, 0.3


def check_voxels(key: str, volume: Volume) -> None:
    """Refuse what no model can work on.

    Raises:
        InputError: for several channels or an image without any contrast.
    """
    if volume.channels != 1:
        raise InputError(
            f"The input {key} has several channels",
            expected="one channel",
            got=f"{volume.channels}",
            action="give one image per input",
        )
    data = volume.data[0]
    finite = data[np.isfinite(data)] if data.dtype.kind == "f" else data
    if finite.size == 0 or finite.max() == finite.min():
        raise InputError(
            f"The input {key} is constant, there is no image in it",
            expected="an image with some contrast",
            got=f"every voxel is {finite.flat[0] if finite.size else 'not finite'}",
            action="choose another volume",
        )


def check_label_map(key: str, volume: Volume, *, grid_of: str = "") -> None:
    """Refuse what is no label map, and one that marks nothing: any value but 0 is inside.

    Args:
        key: of the input.
        volume: the label map.
        grid_of: key of the image on whose grid it lies now, if it was resampled.

    Raises:
        InputError: for several channels, values that are not whole numbers from 0 on, or 0 everywhere.
    """
    wrong = _no_label(volume.data)
    if volume.channels != 1 or wrong is not None:
        raise InputError(
            f"The input {key} is not a label map",
            expected="one channel of whole numbers, 0 for the background and none below it",
            got=f"{volume.channels} channels" if volume.channels != 1 else f"the value {wrong:g}",
            action="save the segmentation as a label map, and give that",
        )
    if not volume.data.any():
        where = f" on the grid of {grid_of}" if grid_of else ""
        raise InputError(
            f"The label map {key} marks nothing{where}",
            expected="at least one voxel that is not 0",
            got="0 in every voxel",
            action="draw the region in a label map of the image",
        )


def _no_label(data: NDArray[Any]) -> float | None:
    """A value that cannot be a label; None when there is none."""
    if data.dtype.kind in "bu":
        return None
    wrong = data < 0
    if data.dtype.kind == "f":
        wrong |= ~np.isfinite(data) | (data != np.rint(data))
    return float(data[wrong][0]) if wrong.any() else None


def check_labels(port: Port, volume: Volume) -> None:
    """Refuse a label map with values that the card does not name; nothing is checked of a mask.

    Raises:
        InputError: naming the values.
    """
    if port.labels:
        check_known(port.key, volume.data, port.labels)


def check_known(name: str, values: NDArray[Any], labels: Sequence[Label]) -> None:
    """Refuse the voxels of a label map when some are none of the labels, and not 0.

    Raises:
        InputError: naming the map and the values.
    """
    unknown = unknown_values(values, labels)
    if unknown.size:
        raise InputError(
            f"The label map {name} has values that this model does not know",
            expected=", ".join(f"{label.value} {label.name}" for label in labels),
            got=", ".join(f"{value:g}" for value in unknown[:20]),
            action="change these labels to ones of the list, or to 0",
        )


def unknown_values(values: NDArray[Any], labels: Sequence[Label]) -> NDArray[Any]:
    """Values of a label map, each once, that are none of the labels, and not 0."""
    marked = values[values != 0]
    return np.asarray(np.unique(marked[~np.isin(marked, [label.value for label in labels])]))


def geometry_rows(domain: Domain, key: str, volume: Volume, *, labels: bool = False) -> list[Row]:
    """Spacing and field of view against the card's limits.

    Args:
        domain: of the card.
        key: of the input.
        volume: the input.
        labels: it is a label map, whose field of view may be larger where nothing is labelled.
    """
    spacing, extent = volume.geometry.spacing, volume.geometry.extent
    low, high = domain.spacing_mm
    near, far = domain.extent_mm
    if labels:
        extent = _labelled(volume, near)
    rows = [
        Row(
            f"{key}: voxel size",
            " x ".join(f"{s:.3g}" for s in spacing),
            "mm",
            f"{low:g} to {high:g}",
            _within(spacing, low, high),
        ),
        Row(
            f"{key}: field of view",
            " x ".join(f"{e:.0f}" for e in extent),
            "mm",
            f"{near:g} to {far:g}",
            _within(extent, near, far),
        ),
    ]
    if domain.slice_ratio is not None:
        ratio, (least, most) = slice_ratio(volume.geometry), domain.slice_ratio
        name = f"{key}: distance of the slices"
        limit = f"{least:g} to {most:g}"
        rows.append(
            Row(name, round(ratio, 2), "times the pixels' side", limit, _within((ratio,), least, most))
        )
    return rows


def _labelled(volume: Volume, least: float) -> tuple[float, float, float]:
    """Sides in mm of the box around all labels: `least` where they are smaller, and none beyond the grid."""
    sides = []
    for axis, (side, spacing) in enumerate(zip(volume.geometry.extent, volume.geometry.spacing, strict=True)):
        there = np.flatnonzero(np.any(volume.data[0], axis=tuple({0, 1, 2} - {axis})))
        box = spacing * (there[-1] - there[0] + 1) if len(there) else 0.0
        sides.append(min(side, max(float(box), least)))
    i, j, k = sides
    return i, j, k


def _within(values: tuple[float, ...], low: float, high: float) -> Verdict:
    """Pass inside the limits, caution up to a quarter outside of them, else fail."""
    if all(low <= v <= high for v in values):
        return "pass"
    return "caution" if all(0.75 * low <= v <= 1.25 * high for v in values) else "fail"


def gate_rows(domain: Domain, volumes: Mapping[str, Volume], gate: nn.Module) -> list[Row]:
    """Anatomy and contrast of each input as the gate sees them.

    Args:
        domain: of the card; not strict turns a refusal into caution.
        volumes: inputs by key; keys that name no contrast are judged on anatomy alone.
        gate: network on (n, 1, *GATE_GRID) giving logits (n, len(GATE_CLASSES)).
    """
    batch = torch.from_numpy(np.stack([coarse(v)[None] for v in volumes.values()]))
    with torch.inference_mode():
        logits = gate(batch).numpy()
    rows: list[Row] = []
    worst: Verdict = "fail" if domain.strict else "caution"
    for (key, _), one in zip(volumes.items(), logits, strict=True):
        brain = float(1 / (1 + np.exp(-one[0])))
        rows.append(
            Row(
                f"{key}: looks like a {domain.anatomy} in {domain.modality}",
                round(brain, 3),
                "probability",
                f"refused below {_BRAIN_REFUSE:g}" if domain.strict else f"caution below {_BRAIN_CAUTION:g}",
                _graded(brain, _BRAIN_REFUSE, _BRAIN_CAUTION, worst),
            )
        )
        if key in GATE_CLASSES and brain >= _BRAIN_REFUSE:
            rows.append(_contrast_row(key, one[1:], worst))
    return rows


def _contrast_row(key: str, logits: NDArray[np.float32], worst: Verdict) -> Row:
    share = np.exp(logits - logits.max())
    share /= share.sum()
    names = GATE_CLASSES[1:]
    expected = float(sum(share[names.index(n)] for n in _LOOKALIKE.get(key, (key,))))
    seen = names[int(share.argmax())]
    return Row(
        f"{key}: contrast looks like {seen}",
        round(expected, 3),
        f"probability of {key}",
        f"refused below {_CONTRAST_REFUSE:g}",
        _graded(expected, _CONTRAST_REFUSE, _CONTRAST_CAUTION, worst),
    )


def _graded(value: float, refuse: float, caution: float, worst: Verdict) -> Verdict:
    if value < refuse:
        return worst
    return "caution" if value < caution else "pass"


def coarse(volume: Volume) -> NDArray[np.float32]:
    """The volume as the gate sees it: 5 mm grid, RAS order, foreground in the middle and scaled to 1.

    Returns:
        `GATE_GRID` (i, j, k), float32, zeros outside of the volume.
    """
    spacing = np.array(volume.geometry.spacing)
    data = np.nan_to_num(np.asarray(volume.data[0], dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    axes, flips = _ras(volume)
    data = np.flip(data.transpose(axes), flips) if flips else data.transpose(axes)
    spacing = spacing[list(axes)]
    size = [max(1, round(n * s / GATE_SPACING_MM)) for n, s in zip(data.shape, spacing, strict=True)]
    stride = [max(1, int(GATE_SPACING_MM / s / 4)) for s in spacing]
    thin = torch.from_numpy(np.ascontiguousarray(data[:: stride[0], :: stride[1], :: stride[2]]))
    small = nn.functional.interpolate(thin[None, None], size=size, mode="area")[0, 0].numpy()
    return centred(small)


def centred(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale a 5 mm volume and place its foreground in the middle of the gate's grid.

    On so coarse a grid Otsu's threshold alone is foreground enough, and ten times faster than filling holes.
    """
    mask = small > otsu(small)
    scaled = np.clip(small / percentile_scale(small, mask), -1.0, 2.0)
    where = np.argwhere(mask)
    ends = np.percentile(where, _ENDS, axis=0) if len(where) else np.array([(0, 0, 0), small.shape])
    middle = np.round(ends.mean(axis=0)).astype(int)
    out = np.zeros(GATE_GRID, dtype=np.float32)
    source, target = [], []
    for centre, count, size in zip(middle, small.shape, GATE_GRID, strict=True):
        start = int(centre) - size // 2
        low, high = max(0, start), min(count, start + size)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    out[tuple(target)] = scaled[tuple(source)]
    return out


def _ras(volume: Volume) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Source axis behind R, A and S, and which of these must be flipped."""
    axes, flips = slice_axes(volume.geometry)
    directions = np.abs(volume.geometry.affine[:3, :3] / np.array(volume.geometry.spacing))
    world = [int(directions[:, a].argmax()) for a in axes]
    if sorted(world) != [0, 1, 2]:
        return axes, flips
    order = tuple(axes[world.index(w)] for w in range(3))
    return order, tuple(w for w in range(3) if world.index(w) in flips)
