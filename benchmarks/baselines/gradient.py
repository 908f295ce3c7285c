"""The plainest guess at where an image is wrong: where it has edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gradient_magnitude(
    image: NDArray[np.float32], *, spacing: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Length of the gradient per mm, central differences; axes of one voxel count as flat.

    Args:
        image: (i, j, k).
        spacing: voxel size along (i, j, k) in mm.
    """
    total = np.zeros(image.shape, dtype=np.float32)
    for axis, step in enumerate(spacing):
        if image.shape[axis] > 1:
            total += np.square(np.gradient(image, step, axis=axis)).astype(np.float32)
    return np.sqrt(total)
