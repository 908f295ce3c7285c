"""Thick slices to thin ones by interpolation along the slice axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ORDERS = {"nearest": 0, "linear": 1, "b-spline": 3}


def upsample(volume: NDArray[np.float32], *, factor: int, method: str, axis: int = -1) -> NDArray[np.float32]:
    """Every slice becomes `factor` thinner ones, at the places they have inside of it.

    Corners of the volume stay where they are and voxels are known at their centres: thin slice t lies at
    ``(t + 1/2) / factor - 1/2`` in units of thick slices. Beyond the first and the last centre the outermost
    slice is repeated (half a thick slice at each end).

    Linear interpolation is that of `torch.nn.functional.interpolate(align_corners=False)`; the cubic
    B-spline goes through the given values (Unser, "Splines: a perfect fit", IEEE Signal Process Mag 1999).

    Args:
        volume: any shape, thick slices along `axis`.
        factor: at least 1; 1 gives the volume itself.
        method: a key of `ORDERS`.
        axis: of the slices.

    Returns:
        The same shape with `factor` times the slices, float32.

    Raises:
        ValueError: when the factor is below 1 or the method is unknown.
    """
    if factor < 1 or method not in ORDERS:
        raise ValueError(f"no upsampling by {factor} with {method!r}; methods are {', '.join(ORDERS)}")
    slices = np.moveaxis(volume, axis, -1)
    weights = _weights(slices.shape[-1], factor, ORDERS[method])
    thin = slices.astype(np.float64) @ weights
    return np.moveaxis(thin, -1, axis).astype(np.float32)


def _weights(slices: int, factor: int, order: int) -> NDArray[np.float64]:
    """What each thick slice gives to each thin one, (thick, thin): interpolation is linear in the values."""
    if factor == 1 or slices == 1:
        return np.repeat(np.eye(slices), factor, axis=1)
    units = np.eye(slices)
    places = (np.arange(slices * factor) + 0.5) / factor - 0.5
    places = np.clip(places, 0, slices - 1)
    return np.stack([ndimage.map_coordinates(u, places[None], order=order, mode="mirror") for u in units])
