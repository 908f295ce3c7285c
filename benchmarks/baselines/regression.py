"""Translation voxel by voxel: a regression on what is around a voxel in each input contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.float32]

VOXELS_PER_STUDY = 20_000
TREES = 100
_INSIDE = 0.9
_CHUNK = 200_000


class Estimator(Protocol):
    """What this file needs of a scikit-learn regressor."""

    def fit(self, rows: Array, values: Array) -> object:
        """Learn from (voxels, maps) and (voxels,)."""
        ...

    def predict(self, rows: Array) -> Array:
        """Values (voxels,) of rows (voxels, maps)."""
        ...


def _linear(seed: int) -> Estimator:
    return make_pipeline(StandardScaler(), Ridge(1.0))


def _trees(seed: int) -> Estimator:
    return HistGradientBoostingRegressor(
        max_iter=TREES, max_leaf_nodes=31, min_samples_leaf=50, early_stopping=True, random_state=seed
    )


ESTIMATORS = {"linear": _linear, "trees": _trees}
_INSIDE_ONLY = frozenset({"linear"})
"""Air would bend a line that has nothing to gain there; trees tell it apart."""


def neighbourhood(image: Array, *, spacing: tuple[float, float, float]) -> list[Array]:
    """What a voxel-wise regression may look at: 13 maps of one input.

    The voxel, its six neighbours, means over 3x3x3 and, in the plane, over 5x5 and 11x11, the spread over
    3x3x3 and over 7x7 in the plane, and the length of the gradient over a millimetre.

    Args:
        image: (i, j, k), divided by its foreground's percentile, slices along the last axis.
        spacing: voxel size in mm.
    """
    maps = [image]
    for axis in range(3):
        for step in (-1, 1):
            offset = [0, 0, 0]
            offset[axis] = step
            maps.append(ndimage.shift(image, offset, order=0, mode="nearest"))
    maps += [
        ndimage.uniform_filter(image, size, mode="nearest") for size in ((3, 3, 3), (5, 5, 1), (11, 11, 1))
    ]
    for size in ((3, 3, 3), (7, 7, 1)):
        mean = ndimage.uniform_filter(image, size, mode="nearest")
        power = ndimage.uniform_filter(image * image, size, mode="nearest")
        maps.append(np.sqrt(np.maximum(power - mean * mean, 0)))
    maps.append(ndimage.gaussian_gradient_magnitude(image, [1.0 / s for s in spacing], mode="nearest"))
    return maps


@dataclass(frozen=True, eq=False)
class Sample:
    """Random voxels of one study.

    Args:
        rows: by contrast, (voxels, maps) of its neighbourhood.
        values: by contrast, (voxels,) of its intensity.
        inside: how many voxels lie inside the mask; they come first.
    """

    rows: dict[str, Array]
    values: dict[str, Array]
    inside: int


def sample(
    images: Mapping[str, Array],
    mask: NDArray[np.bool_],
    *,
    spacing: tuple[float, float, float],
    seed: int = 0,
    voxels: int = VOXELS_PER_STUDY,
) -> Sample:
    """Choose voxels of a study, nine in ten inside the mask, the same ones in every contrast.

    Args:
        images: by contrast, (i, j, k), divided by the foreground's percentile.
        mask: foreground of the study.
        spacing: voxel size in mm.
        seed: of the choice.
        voxels: how many.
    """
    rng = np.random.default_rng(seed)
    inside, outside = np.flatnonzero(mask), np.flatnonzero(~mask)
    inside = rng.permutation(inside)[: int(voxels * _INSIDE)]
    chosen = np.concatenate([inside, rng.permutation(outside)[: int(voxels * (1 - _INSIDE))]])
    rows = {key: _rows(neighbourhood(image, spacing=spacing), chosen) for key, image in images.items()}
    return Sample(rows, {key: image.ravel()[chosen] for key, image in images.items()}, inside.size)


def fit(
    samples: Sequence[Sample], inputs: Sequence[str], target: str, *, kind: str, seed: int = 0
) -> Estimator:
    """Fit the target's intensity to the inputs' neighbourhoods.

    Args:
        samples: those that lack a contrast asked for are passed over.
        inputs: contrasts.
        target: contrast.
        kind: a key of `ESTIMATORS`.
        seed: of the estimator.

    Raises:
        ValueError: when no sample has all the contrasts.
    """
    usable = [s for s in samples if {*inputs, target} <= set(s.values)]
    if not usable:
        raise ValueError(f"no study has all of {[*inputs, target]}, so there is nothing to fit")
    ends = [s.inside if kind in _INSIDE_ONLY else None for s in usable]
    rows = [
        np.concatenate([s.rows[key][:end] for key in inputs], axis=1)
        for s, end in zip(usable, ends, strict=True)
    ]
    values = [s.values[target][:end] for s, end in zip(usable, ends, strict=True)]
    estimator = ESTIMATORS[kind](seed)
    estimator.fit(np.concatenate(rows), np.concatenate(values))
    return estimator


def predict(estimator: Estimator, maps: Sequence[Array], where: NDArray[np.bool_]) -> Array:
    """The target's intensity, (i, j, k), and 0 outside of `where`.

    Args:
        estimator: from `fit`.
        maps: neighbourhoods of the inputs in the order they were fitted in.
        where: voxels to predict.
    """
    out = np.zeros(where.size, dtype=np.float32)
    index = np.flatnonzero(where)
    for start in range(0, index.size, _CHUNK):
        part = index[start : start + _CHUNK]
        out[part] = estimator.predict(_rows(maps, part))
    return out.reshape(where.shape)


def _rows(maps: Sequence[Array], index: NDArray[np.integer]) -> Array:
    return np.stack([m.ravel()[index] for m in maps], axis=-1).astype(np.float32, copy=False)
