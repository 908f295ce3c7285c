"""A volume onto another grid, by way of the patient's space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medgan_core.volume import Geometry, Volume

_FWHM = 2.3548
"""Full width at half maximum of a Gaussian in standard deviations."""


def resample(
    volume: Volume,
    geometry: Geometry,
    *,
    transform: NDArray[np.float64] | None = None,
    order: int = 1,
    outside: float = 0.0,
) -> Volume:
    """Bring a volume onto another grid.

    Where the target's voxels are larger, the volume is smoothed first (orders above 0), so that thin slices
    are averaged into thick ones and do not alias.

    Args:
        volume: any number of channels.
        geometry: the target grid.
        transform: 4x4, RAS mm, moves the volume first (as in `Misalignment.transform`).
        order: of the spline: 0 nearest (labels), 1 linear, 3 cubic.
        outside: value where the volume does not reach.

    Returns:
        Float32 for orders above 0, else the volume's own type.
    """
    motion = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    pull = np.linalg.inv(volume.geometry.affine) @ np.linalg.inv(motion) @ geometry.affine
    dtype = volume.data.dtype if order == 0 else np.dtype(np.float32)
    out = np.empty((volume.channels, *geometry.shape), dtype=dtype)
    ratio = np.abs(pull[:3, :3]).max(axis=1)
    sigma = np.sqrt(np.maximum(ratio**2 - 1.0, 0.0)) / _FWHM
    for source, target in zip(volume.data, out, strict=True):
        array = source.astype(dtype, copy=False)
        if order > 0 and sigma.max() > 0.1:
            array = ndimage.gaussian_filter(array, sigma, mode="nearest")
        ndimage.affine_transform(
            array, pull[:3, :3], pull[:3, 3], geometry.shape, target, order, mode="constant", cval=outside
        )
    return Volume(out, geometry)
