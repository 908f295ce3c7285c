"""Does a generator hand out its training images: distances to them, of samples and of unseen images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from medgan_core.errors import InputError
from medgan_core.metrics.features import Features, Rows, feature_rows

LEVEL = 0.05
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class CopyReport:
    """Distances to the nearest training image, of samples and of held-back real images.

    Args:
        rate: copy rate: share of samples nearer to a training image than `threshold`. Blurred samples raise
            it without being copies.
        singled_out_rate: share of samples that also lie nearer to one training patient than to all others,
            by more than `margin_threshold`; blur alone does not raise it.
        held_back_rate: share of the held-back images below `threshold`, `level` at most: the `rate` of a
            generator whose samples are like unseen real images.
        held_back_singled_out_rate: the same for `singled_out_rate`.
        threshold: distance, in the unit of the features.
        margin_threshold: ratio of two distances, see `find_copies`.
        level: the quantile of the held-back values that both thresholds are.
        closer: probability that a sample lies nearer to the training set than a held-back image, ties half;
            0.5 for samples like unseen images, towards 1 when the whole set leans on the training images.
        median_ratio: median distance of the samples divided by that of the held-back images; NaN when both
            are 0.
        samples: number of generated samples.
        training: number of training images.
        held_back: number of held-back images.
        distances: (samples,) of every sample to its nearest training image.
        nearest: (samples,) index of that image, to look at the pair.
    """

    rate: float
    singled_out_rate: float
    held_back_rate: float
    held_back_singled_out_rate: float
    threshold: float
    margin_threshold: float
    level: float
    closer: float
    median_ratio: float
    samples: int
    training: int
    held_back: int
    distances: Rows = field(repr=False)
    nearest: NDArray[np.intp] = field(repr=False)


def find_copies(
    generated: Features,
    training: Features,
    held_back: Features,
    *,
    patients: NDArray[Any] | None = None,
    level: float = LEVEL,
) -> CopyReport:
    """The copy rate: share of samples that lie nearer to a training image than unseen real images do.

    A sample counts as a copy when its Euclidean distance to the nearest training image is smaller than the
    threshold. The threshold is the held-back distance of rank ``floor(level * h)`` counted from 0 (the
    smallest one when ``level * h < 1``), so no more than `level` of the h held-back images lie below it.

    A blurred image lies near to everything in voxel space and passes for a copy by distance alone. So a
    second rate asks also for a margin: the distance to the nearest training image over the distance to the
    nearest one of any other patient, below the held-back ratio of the same rank. It misses a patient who is
    in the training set under two names, and a copy blurred so much that it is near to everybody too. Where
    the two rates differ, look at the pairs.

    Neither sees a copy that was flipped, shifted or cut (give such variants among the training images where
    training made them, under the same patient), nor one that the features do not tell from its neighbours.

    Source: a ratio of distances as in Carlini et al., "Extracting training data from diffusion models",
    USENIX Security 2023; `closer` is the statistic of Meehan, Chaudhuri & Dasgupta, "A
    non-parametric test to detect data-copying in generative models", AISTATS 2020, over the whole space as
    one cell, turned so that larger means more copying.

    Args:
        generated: (m, ...), m >= 1; images or features, flattened to d values each.
        training: (n, ...), of at least two patients.
        held_back: (h, ...), h >= 2, of patients who are not in the training set.
        patients: (n,), whose each training image is; None means each is of another patient.
        level: the false alarms allowed among held-back images, from 0 to below 1.

    Raises:
        InputError: when a set has too few rows or patients, or values that are not finite.
        ValueError: when feature lengths differ, patients are not (n,), or the level is out of range.
    """
    if not 0.0 <= level < 1.0:
        raise ValueError(f"the level must lie in [0, 1), got {level}")
    rows = feature_rows(generated, name="generated samples")
    known = feature_rows(training, name="training images", least=2)
    unseen = feature_rows(held_back, name="held-back images", least=2)
    if not rows.shape[1] == known.shape[1] == unseen.shape[1]:
        raise ValueError(f"feature lengths differ: {rows.shape[1]}, {known.shape[1]}, {unseen.shape[1]}")
    owners = _owners(patients, len(known))
    own, own_margin, nearest = nearest_training(rows, known, owners)
    other, other_margin, _ = nearest_training(unseen, known, owners)
    rank = math.floor(level * len(unseen))
    threshold, margin_threshold = (float(np.sort(a)[rank]) for a in (other, other_margin))
    near, near_unseen = own < threshold, other < threshold
    return CopyReport(
        rate=float(near.mean()),
        singled_out_rate=float((near & (own_margin < margin_threshold)).mean()),
        held_back_rate=float(near_unseen.mean()),
        held_back_singled_out_rate=float((near_unseen & (other_margin < margin_threshold)).mean()),
        threshold=threshold,
        margin_threshold=margin_threshold,
        level=level,
        closer=_probability_smaller(own, other),
        median_ratio=_ratio(float(np.median(own)), float(np.median(other))),
        samples=len(rows),
        training=len(known),
        held_back=len(unseen),
        distances=own,
        nearest=nearest,
    )


def nearest_training(
    rows: Rows, training: Rows, owners: NDArray[np.intp]
) -> tuple[Rows, Rows, NDArray[np.intp]]:
    """The nearest training image of every row, and by how much it is nearer than any other patient's.

    Args:
        rows: (m, d).
        training: (n, d).
        owners: (n,), number of each training image's patient; at least two different ones.

    Returns:
        (m,) distances, (m,) margins in [0, 1], (m,) indices (the first of equal ones). The margin is the
        distance over that to the nearest image of another patient; 1 when both are 0.
    """
    distances, margins = np.empty(len(rows)), np.ones(len(rows))
    nearest = np.empty(len(rows), dtype=np.intp)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        block = cdist(rows[part], training)
        first = block.argmin(axis=1)
        shortest = block.min(axis=1)
        block[owners[first][:, None] == owners] = np.inf
        others = block.min(axis=1)
        np.divide(shortest, others, out=margins[part], where=others > 0)
        nearest[part], distances[part] = first, shortest
    return distances, margins, nearest


def _owners(patients: NDArray[Any] | None, count: int) -> NDArray[np.intp]:
    """A number for each training image's patient."""
    if patients is None:
        return np.arange(count)
    names, owners = np.unique(np.asarray(patients), return_inverse=True)
    if len(owners) != count:
        raise ValueError(f"{len(owners)} patients named for {count} training images")
    if len(names) < 2:
        raise InputError(
            "The training images are all of one patient",
            expected="at least two patients",
            got="1",
            action="give the patient of every training image, or more of them",
        )
    return np.asarray(owners)


def _ratio(value: float, reference: float) -> float:
    if reference > 0:
        return value / reference
    return math.nan if value == 0 else math.inf


def _probability_smaller(first: Rows, second: Rows) -> float:
    """Share of pairs (a, b) with a < b, ties half: Mann and Whitney's U over the number of pairs."""
    ranks = rankdata(np.concatenate([second, first]))[: len(second)]
    pairs = len(first) * len(second)
    return float((ranks.sum() - len(second) * (len(second) + 1) / 2) / pairs)
