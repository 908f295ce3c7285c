"""The one place where LPS, the frame of NRRD, MetaImage and DICOM, meets RAS.

LPS: x to the patient's left, y to the back, z to the head. RAS: x to the right, y to the front, z to the
head. Both in mm; the two differ by the sign of x and y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def swap(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 4x4 from voxels to the other of LPS and RAS; its own inverse."""
    return np.asarray(_FLIP @ affine + 0.0)


def affine_from(axes: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """4x4 whose columns are the steps `axes` (3, 3) along i, j, k and the centre of the first voxel."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = origin
    return affine
