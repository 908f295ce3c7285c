"""Structural similarity, at one scale and at several, counted inside a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medgan_core.metrics.image import Image, Mask, check_shapes

WINDOW = 11
SIGMA = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang et al. 2003, section 3.2)."""

_K1, _K2 = 0.01, 0.03

Array = NDArray[np.float32]


def structural_similarity(
    prediction: Image,
    truth: Image,
    mask: Mask,
    *,
    slice_wise: bool,
    data_range: float = 1.0,
) -> float:
    """Mean SSIM over the voxels of the mask; Gaussian window of 11 voxels, sigma 1.5.

    The windows of voxels near the mask's border look outside of the mask, as far as the image goes; at
    the border of the image its outermost voxels are repeated.

    Source: Wang et al., "Image quality assessment", IEEE Trans Image Process 2004, equation 13.

    Args:
        prediction: (i, j, k).
        truth: the same shape.
        mask: the same shape, at least one voxel True.
        slice_wise: windows lie in the (i, j) plane, as thick slices ask for; else they are 3D.
        data_range: the L of the constants ``(0.01 L)^2`` and ``(0.03 L)^2``.

    Returns:
        At most 1, which only identical images reach.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    check_shapes(prediction, truth, mask)
    axes = (0, 1) if slice_wise else (0, 1, 2)
    x, y, weight = (np.asarray(a, dtype=np.float32) for a in (prediction, truth, mask))
    return _weighted_terms(x, y, weight, axes, data_range)[0]


def multi_scale_ssim(
    prediction: Image,
    truth: Image,
    mask: Mask,
    *,
    slice_wise: bool,
    data_range: float = 1.0,
) -> float:
    """MS-SSIM with as many of the five scales as the size allows (`scale_count`).

    The exponents of the scales that are used are divided by their sum. At coarser scales a voxel counts
    by the share of it that lies in the mask. Negative means of the contrast-structure term count as 0.

    Source: Wang, Simoncelli & Bovik, "Multi-scale structural similarity", Asilomar 2003, equation 7.

    Args:
        prediction: (i, j, k).
        truth: the same shape.
        mask: the same shape, at least one voxel True.
        slice_wise: the (i, j) planes are filtered and halved, slices stay; else all three axes are.
        data_range: as in `structural_similarity`.

    Raises:
        ValueError: when shapes differ or the mask is empty.
    """
    check_shapes(prediction, truth, mask)
    axes = (0, 1) if slice_wise else (0, 1, 2)
    x, y, weight = (np.asarray(a, dtype=np.float32) for a in (prediction, truth, mask))
    scales = scale_count(prediction.shape, slice_wise=slice_wise)
    exponents = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    product = 1.0
    for scale, exponent in enumerate(exponents):
        similarity, contrast = _weighted_terms(x, y, weight, axes, data_range)
        term = similarity if scale == scales - 1 else contrast
        product *= max(term, 0.0) ** float(exponent)
        if scale < scales - 1:
            x, y, weight = (_halve(a, axes) for a in (x, y, weight))
    return float(product)


def scale_count(shape: tuple[int, ...], *, slice_wise: bool) -> int:
    """How many scales fit: the window must fit into the coarsest image, 1 at least and 5 at most."""
    side = min(shape[:2]) if slice_wise else min(shape)
    count = 1
    while count < len(SCALE_WEIGHTS) and side >> count >= WINDOW:
        count += 1
    return count


def _weighted_terms(
    x: Array, y: Array, weight: Array, axes: tuple[int, ...], data_range: float
) -> tuple[float, float]:
    """Means of SSIM and of its contrast-structure factor over all voxels, by weight."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_x, mean_y = _blur(x, axes), _blur(y, axes)
    var_x = np.maximum(_blur(x * x, axes) - mean_x**2, 0)
    var_y = np.maximum(_blur(y * y, axes) - mean_y**2, 0)
    covariance = _blur(x * y, axes) - mean_x * mean_y
    contrast = (2 * covariance + c2) / (var_x + var_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    total = float(weight.sum(dtype=np.float64))
    similarity = float((luminance * contrast * weight).sum(dtype=np.float64)) / total
    return similarity, float((contrast * weight).sum(dtype=np.float64)) / total


def _blur(x: Array, axes: tuple[int, ...]) -> Array:
    """The Gaussian window, one axis after the other; the outermost voxels are repeated."""
    from scipy import ndimage  # late: training imports this file, also where there is no SciPy

    offsets = np.arange(WINDOW) - WINDOW // 2
    kernel = np.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    for axis in axes:
        x = ndimage.correlate1d(x, kernel, axis=axis, mode="nearest")
    return x


def _halve(x: Array, axes: tuple[int, ...]) -> Array:
    """Means of pairs along the axes; an odd voxel at the end is left out."""
    for axis in axes:
        even = np.moveaxis(x, axis, 0)[: x.shape[axis] // 2 * 2]
        x = np.moveaxis((even[::2] + even[1::2]) / 2, 0, axis)
    return x
