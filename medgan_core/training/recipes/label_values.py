"""Label maps hold the labels that are learned, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan_core.card import Label
from medgan_core.errors import InputError


def require_known(patient: str, values: NDArray[np.integer[Any]], labels: Sequence[Label]) -> None:
    """Refuse a label map with values that are none of the labels, and not 0.

    Raises:
        InputError: naming the patient and the values.
    """
    unknown = set(np.unique(values).tolist()) - {0, *(label.value for label in labels)}
    if unknown:
        raise InputError(
            f"The label map of {patient} has values that the model does not know",
            expected=", ".join(f"{label.value} {label.name}" for label in labels),
            got=", ".join(map(str, sorted(unknown))),
            action="correct the label map, or leave the patient out",
        )
