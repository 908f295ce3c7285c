"""Is a label map that a person submitted plausible? Volumes, mirroring, outliers, agreement with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.metrics.overlap import dice
from medgan_core.volume import Volume

LabelMap: TypeAlias = NDArray[np.integer[Any]]

# Along one voxel axis; along two, which is what LPS taken for RAS does.
MIRRORED = {"i": (0,), "j": (1,), "k": (2,), "i and j": (0, 1)}
_RIM = 3
_CLIP = (1.0, 99.0)
# Chosen on real labels, so that none is called mirrored that is not (benchmarks/mirrored_labels.py).
_CLOSER_TO_IMAGE = 0.12
_CLOSER_TO_OTHER = 0.1
_FEWEST = 5


@dataclass(frozen=True)
class Outlier:
    """How far a volume lies from the others of its label.

    Args:
        score: modified z-score.
        median: of all volumes, in the unit they came in.
        n: how many there are.
    """

    score: float
    median: float
    n: int


def label_map(volume: Volume) -> LabelMap:
    """The labels as whole numbers, shape (i, j, k); 0 is the background.

    Raises:
        InputError: when the volume has several channels, or a value that is no label.
    """
    data = volume.data
    whole = np.round(data)
    if volume.channels != 1 or not np.isfinite(whole).all() or (np.abs(data - whole) > 1e-3).any():
        raise InputError(
            "The volume is not a label map",
            expected="one channel of whole numbers",
            got=f"{volume.channels} channel(s) of type {data.dtype}, some values are not whole",
            action="save the segmentation as a label map",
        )
    return np.asarray(whole[0].astype(np.int64))


def volumes_ml(labels: LabelMap, spacing: tuple[float, float, float]) -> dict[int, float]:
    """Volume of every label in mL, without the background.

    Args:
        labels: shape (i, j, k).
        spacing: voxel size in mm.
    """
    found, counts = np.unique(labels[labels != 0], return_counts=True)
    voxel_ml = float(np.prod(spacing)) / 1000
    return {int(label): int(count) * voxel_ml for label, count in zip(found, counts, strict=True)}


def overlaps(labels: LabelMap, other: LabelMap) -> dict[int, float]:
    """Dice of every label that is in one of the two maps, without the background.

    Raises:
        ValueError: when shapes differ.
    """
    both = np.union1d(labels, other)
    found = {int(label): dice(other, labels, label=int(label)) for label in both if label}
    return {label: value for label, value in found.items() if value is not None}


def mirrored_beside_image(labels: LabelMap, image: NDArray[Any]) -> str | None:
    """The axes along which the labels fit the image much better when they are mirrored, in words.

    Labels fit when they explain the image: the correlation ratio (variance between the labels as a share of
    all) of the intensities near the labels and their mirror image, which is the same region for both.
    Source of the measure: Roche et al., "The correlation ratio as a new similarity measure", MICCAI 1998.

    Args:
        labels: shape (i, j, k).
        image: the same shape.

    Returns:
        Such as ``"i"``; None when there is no such axis, which says little where the image does not show the
        labelled structure, or where it is symmetric.

    Raises:
        ValueError: when shapes differ.
    """
    if labels.shape != image.shape:
        raise ValueError(f"shapes differ: {labels.shape}, {image.shape}")
    if not labels.any():
        return None
    return _best({words: _gain(labels, image, axes) for words, axes in MIRRORED.items()}, _CLOSER_TO_IMAGE)


def mirrored_beside_labels(labels: LabelMap, other: LabelMap) -> str | None:
    """The axes along which the labels overlap another segmentation much better when they are mirrored.

    Args:
        labels: shape (i, j, k).
        other: of the same image; the same shape.

    Returns:
        Such as ``"i"``, or None.

    Raises:
        ValueError: when shapes differ.
    """
    before = _mean(overlaps(labels, other))
    gains = {
        words: _mean(overlaps(np.flip(labels, axes), other)) - before for words, axes in MIRRORED.items()
    }
    return _best(gains, _CLOSER_TO_OTHER)


def outlying(values: Mapping[str, float]) -> dict[str, Outlier]:
    """How far each of several volumes lies from the others: modified z-scores of their logarithms.

    Source: Iglewicz & Hoaglin, "How to Detect and Handle Outliers", 1993, who call beyond 3.5 an outlier. A
    spread below 5 % counts as 5 %: volumes that agree that well have no outliers within a few per cent.

    Args:
        values: volumes > 0 by what they are of.

    Returns:
        By the same names; empty when there are fewer than five, too few to say what is usual.
    """
    if len(values) < _FEWEST:
        return {}
    logs = np.log(list(values.values()))
    middle = float(np.median(logs))
    spread = max(float(np.median(np.abs(logs - middle))) / 0.6745, np.log(1.05))
    return {
        name: Outlier(float(log - middle) / spread, float(np.exp(middle)), len(values))
        for name, log in zip(values, logs, strict=True)
    }


def _gain(labels: LabelMap, image: NDArray[Any], axes: Sequence[int]) -> float:
    """How much more of the image mirrored labels explain; between -1 and 1."""
    from scipy import ndimage  # late, as elsewhere: machines that only train have none

    mirrored = np.flip(labels, axes)
    box = _box((labels != 0) | (mirrored != 0))
    first, second = labels[box], mirrored[box]
    region = ndimage.binary_dilation((first != 0) | (second != 0), iterations=_RIM)
    values = np.nan_to_num(image[box][region].astype(np.float64))
    values = np.clip(values, *np.percentile(values, _CLIP))
    return _explained(values, second[region]) - _explained(values, first[region])


def _explained(values: NDArray[np.float64], labels: LabelMap) -> float:
    """The correlation ratio of values given labels, both of shape (n,)."""
    total = float(values.var())
    if total == 0:
        return 0.0
    _, place = np.unique(labels, return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, values) / counts
    return float(counts @ (means - values.mean()) ** 2) / (values.size * total)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Around a mask that is not empty, with room for the rim."""
    ends = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        ends.append(slice(max(0, int(there[0]) - _RIM), int(there[-1]) + _RIM + 1))
    return tuple(ends)


def _best(gains: Mapping[str, float], least: float) -> str | None:
    words = max(gains, key=lambda key: gains[key])
    return words if gains[words] > least else None


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values()))) if values else 0.0
