"""Repair of a masked region by the smoothest surface over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic


def repair(
    image: NDArray[np.float32], missing: NDArray[np.bool_], *, slice_wise: bool
) -> NDArray[np.float32]:
    """Fill the missing voxels with the solution of the biharmonic equation (Damelin & Hoang 2018).

    Voxels count as equally far apart along every axis, so thick slices are to be filled slice by slice; a
    slice that is missing as a whole can only be filled in 3D. Filled values stay within the range of the
    known ones.

    Args:
        image: (i, j, k), slices along the last axis; values under the mask are not looked at.
        missing: the same shape, True where to fill.
        slice_wise: every (i, j) slice by itself; else in 3D, whose time grows fast with the hole.

    Returns:
        (i, j, k), known voxels unchanged.

    Raises:
        ValueError: when shapes differ, or there is nothing known to fill from.
    """
    if image.shape != missing.shape or image.ndim != 3:
        raise ValueError(f"image and mask must be one (i, j, k), got {image.shape} and {missing.shape}")
    known_somewhere = (~missing).any(axis=(0, 1)) if slice_wise else (~missing).any()
    if not np.all(known_somewhere):
        raise ValueError("nothing is known to fill from; a whole missing slice needs slice_wise=False")
    if not missing.any():
        return image.copy()
    blank = np.where(missing, 0, image).astype(np.float64)
    if not slice_wise:
        filled = inpaint_biharmonic(blank, missing, split_into_regions=True)
        return np.where(missing, filled, image).astype(np.float32)
    out = image.copy()
    for k in np.flatnonzero(missing.any(axis=(0, 1))):
        filled = inpaint_biharmonic(blank[..., k], missing[..., k], split_into_regions=True)
        out[..., k] = np.where(missing[..., k], filled, image[..., k])
    return out
