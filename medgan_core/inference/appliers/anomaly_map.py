"""What anomaly maps share: the place of the input, and figures of the whole volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from medgan_core import preprocess
from medgan_core.inference.appliers.application import Application, voxels
from medgan_core.report import Row
from medgan_core.volume import Volume

_HIGH = 99.0


def on_source(work: Application, away: NDArray[np.float32], placement: preprocess.Placement) -> Volume:
    """The map (i, j, k) on the input's grid: nowhere negative, and 0 where the image is."""
    image = work.first
    found = preprocess.inverse(work.card.preprocess, away[None], placement).data[0]
    np.maximum(found, 0.0, out=found)
    found[voxels(image) == 0] = 0.0
    return image.with_data(found)


def figures(values: Mapping[str, NDArray[np.float32]], unit: str) -> list[Row]:
    """Mean and a high percentile of values by name; no limit is known, so nothing is judged."""
    return [
        Row(f"{name}, {told}", float(f"{value:.4g}"), unit)
        for name, array in values.items()
        if array.size
        for told, value in (("mean", array.mean()), (f"{_HIGH:g}th percentile", np.percentile(array, _HIGH)))
    ]
