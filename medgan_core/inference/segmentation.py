"""From the probabilities of classes to a label map, how uncertain it is, and how large its structures are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.metrics.volume_interval import doubt

_SURE = 1e-12


@dataclass(frozen=True, eq=False)
class Segmented:
    """A label map and what its probabilities say of it.

    Args:
        labels: (i, j, k), uint8, or uint16 where a value does not fit.
        uncertainty: (i, j, k) float32, entropy of the probabilities as a share of the largest there can be:
            0 certain, 1 undecided between all classes.
        voxels: of each label.
        doubts: of each label, in voxels; see `metrics.volume_interval.doubt`.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    uncertainty: NDArray[np.float32]
    voxels: tuple[int, ...]
    doubts: tuple[float, ...]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of the classes along the first axis, written over the logits."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def decide(probabilities: Iterable[NDArray[np.float32]], values: Sequence[int]) -> Segmented:
    """The most probable class of every voxel.

    Classes are looked at one after the other, so that a whole head with many of them needs little memory.

    Args:
        probabilities: (i, j, k) float32 for each label, at least one; what is left to 1 is the background's.
            Values a little outside of 0 to 1, as resampling gives them, are moved to the nearer end.
        values: of the labels in the map, in the same order.
    """
    wide: type[np.unsignedinteger[Any]] = np.uint8 if max(values) < 256 else np.uint16
    doubts: list[float] = []
    for value, raw in zip(values, probabilities, strict=True):
        probability = np.clip(raw, 0.0, 1.0)
        if not doubts:
            labels = np.zeros(probability.shape, dtype=wide)
            best, total, entropy = (np.zeros(probability.shape, dtype=np.float32) for _ in range(3))
        labels[probability > best] = value
        np.maximum(best, probability, out=best)
        total += probability
        entropy += _information(probability)
        doubts.append(doubt(probability))
    background = np.clip(1.0 - total, 0.0, 1.0)
    labels[background >= best] = 0
    entropy += _information(background)
    entropy /= np.float32(math.log(1 + len(doubts)))
    counts = np.bincount(labels.ravel(), minlength=max(values) + 1)
    return Segmented(labels, np.clip(entropy, 0.0, 1.0), tuple(int(counts[v]) for v in values), tuple(doubts))


def _information(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """``-p ln p``, 0 where p is."""
    return np.asarray(-probability * np.log(np.maximum(probability, np.float32(_SURE))), dtype=np.float32)
