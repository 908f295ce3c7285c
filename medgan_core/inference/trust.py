"""From a network's log scales to the expected absolute error of each voxel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LARGEST_LOG = 60.0  # exp(60) is far beyond any intensity and still a float32


def expected_error(log_scales: NDArray[np.float32], *, calibration: float = 1.0) -> NDArray[np.float32]:
    """Expected absolute error under the Laplace likelihood the network was trained with.

    For a Laplace distribution with scale ``b`` the mean absolute deviation from its median is ``b``
    itself (Kendall and Gal, NeurIPS 2017, use the same likelihood), so the answer is
    ``calibration * exp(log_scale)``.

    Args:
        log_scales: natural logarithms of ``b``, any shape.
        calibration: the card's `trust_calibration`, measured on left-out patients.

    Returns:
        Float32 of the same shape, in the units of the network's output.
    """
    out = np.minimum(log_scales, np.float32(_LARGEST_LOG), dtype=np.float32)
    np.exp(out, out=out)
    out *= np.float32(calibration)
    return out
