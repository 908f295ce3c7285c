"""Do label maps that are drawn from nothing look like those of patients?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.baselines import pca
from benchmarks.systems.kernel import grouped_kernel_distance
from medgan_core.metrics.overlap import dice
from medgan_core.training.recipes.pictures import one_hot

COMPONENTS = 32
"""Of the training maps; what the kernel distance of maps is taken on."""

_SEED = 0
Maps = NDArray[np.int64]


def figures(
    drawn: Tensor, training: Tensor, held_back: Tensor, owners: NDArray[np.int64], *, labels: int
) -> dict[str, dict[str, Any]]:
    """Figures of drawn maps beside those of real ones of patients who were left out.

    - ``volume``: mean and standard deviation of each label's volume, in ml at 1 mm.
    - ``roughness``: faces between inside and outside over volume^(2/3), of all labels together; argmax of a
      blurred model gives less than real maps have.
    - ``nearest``: Dice of the whole with the nearest training map (mean over the maps): near 1 for copies,
      far below that of the held-back maps for what is no hippocampus.
    - ``kid``: kernel distance to the held-back maps on the training maps' principal components, scaled.

    Args:
        drawn: (n, 1, i, j, k), int64.
        training: real maps to learn from, the same form.
        held_back: real maps of other patients.
        owners: (held back,), patient of each.
        labels: background included.

    Returns:
        By ``drawn``, ``held_back`` and ``training``.
    """
    components = pca.fit(one_hot(training, labels).numpy(), rank=min(COMPONENTS, len(training) - 1))
    scale = np.sqrt(components.variances)[None]
    rows = {
        name: components.encode(one_hot(maps, labels).numpy()) / scale
        for name, maps in (("drawn", drawn), ("held_back", held_back), ("training", training))
    }
    found = {}
    for name, maps in (("drawn", drawn), ("held_back", held_back), ("training", training)):
        plain = maps[:, 0].numpy()
        volumes = [[float((one == label).sum()) / 1000 for one in plain] for label in range(1, labels)]
        found[name] = {
            "volume": [[float(np.mean(v)), float(np.std(v))] for v in volumes],
            "roughness": float(np.mean([roughness(one > 0) for one in plain])),
            "maps": len(plain),
        }
        if name != "training":
            found[name]["nearest"] = float(np.mean([nearest(one, training[:, 0].numpy()) for one in plain]))
        if name != "held_back":
            found[name]["kid"] = grouped_kernel_distance(
                rows["held_back"], owners, rows[name], seed=_SEED
            ).to_dict()
    return found


def roughness(inside: NDArray[np.bool_]) -> float:
    """Faces between inside and outside voxels over the volume to the power of 2/3; 6 for a cube.

    Example:
        >>> roughness(np.pad(np.ones((3, 3, 3), dtype=bool), 1))
        6.0
    """
    faces = sum(int(np.count_nonzero(np.diff(inside.astype(np.int8), axis=axis))) for axis in range(3))
    return faces / max(int(inside.sum()), 1) ** (2 / 3)


def nearest(one: Maps, known: Maps) -> float:
    """Dice of the whole structure with the most similar of known maps, or with its mirror image."""
    inside = (one > 0).astype(np.int64)
    both = np.concatenate([known > 0, known[:, ::-1] > 0]).astype(np.int64)
    return max(dice(inside, other, label=1) or 0.0 for other in both)
