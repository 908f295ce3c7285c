"""Images of one patient together, as the metrics on volumes take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Volume = NDArray[np.float32]


def patient_volumes(images: Tensor, patients: NDArray[np.integer[Any]]) -> list[Volume]:
    """Images (n, 1, *spatial) as one (i, j, k) for each patient, in the patients' order.

    Slices are stacked along k; volumes of one patient stand behind each other along k.
    """
    arrays = images[:, 0].numpy()
    each = [arrays[patients == patient] for patient in np.unique(patients)]
    return [np.moveaxis(a, 0, -1) if a.ndim == 3 else np.concatenate(list(a), axis=-1) for a in each]
