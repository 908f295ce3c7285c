"""Two sets of feature vectors that are to be compared: checked once, for every metric that takes them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medgan_core.errors import InputError

Features: TypeAlias = NDArray[np.floating[Any]]
Rows: TypeAlias = NDArray[np.float64]


def feature_rows(features: Features, *, name: str, least: int = 1) -> Rows:
    """One set as float64 rows.

    Args:
        features: (n, ...); what follows the first axis is flattened to d values.
        name: of the set, for the error text.
        least: how many rows there must be.

    Returns:
        (n, d).

    Raises:
        InputError: when there are fewer rows, or values that are not finite.
    """
    rows = np.asarray(features, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    if len(rows) < least:
        raise InputError(
            f"There are too few {name} to compare",
            expected=f"at least {least}",
            got=str(len(rows)),
            action="draw or read more of them",
        )
    broken = int((~np.isfinite(rows).all(axis=1)).sum())
    if broken:
        raise InputError(
            f"Some {name} are not finite",
            expected="finite values only",
            got=f"{broken} of {len(rows)} with NaN or infinite values",
            action="leave these out and say so, or look for what made the network diverge",
        )
    return rows


def feature_pair(real: Features, generated: Features, *, least: int) -> tuple[Rows, Rows]:
    """Both sets as float64 rows of one length.

    Args:
        real: (n, ...).
        generated: (m, ...) with the same number of values per row.
        least: how many rows each must have.

    Raises:
        InputError: as `feature_rows`.
        ValueError: when the rows differ in length.
    """
    x = feature_rows(real, name="real samples", least=least)
    y = feature_rows(generated, name="generated samples", least=least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"feature lengths differ: {x.shape[1]} and {y.shape[1]}")
    return x, y
