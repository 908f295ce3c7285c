"""Where the patient is: the mask that intensities are scaled by and figures are counted in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BRAIN_ONLY_ZEROS = 0.25
"""Above this share of exact zeros the background may have been removed."""

BRAIN_ONLY_FAINT = 0.05
"""... and was, when no more than this share of the other voxels is fainter than a tenth of Otsu's threshold.

Air noise is that faint. Heads whose border was filled with zeros by a resampling have many zeros too, but
10 % to 30 % of their other voxels are air; in skull-stripped volumes faint voxels are 3 % at most.
"""

_BINS = 256


def foreground(
    data: NDArray[np.floating[Any]] | NDArray[np.integer[Any]], *, stripped: bool | None = None
) -> NDArray[np.bool_]:
    """Foreground of one image: Otsu's threshold, largest component, holes filled.

    Volumes without background (skull-stripped: many exact zeros, hardly any air) keep their non-zero
    voxels instead of those above Otsu's threshold.

    Args:
        data: shape (i, j, k), any scale; values that are not finite count as background.
        stripped: the background was removed (True) or not (False); None looks at the values.

    Returns:
        Boolean mask of the same shape; all False when the image is constant.
    """
    data = np.nan_to_num(np.asarray(data, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if float(np.ptp(data)) == 0.0:
        return np.zeros(data.shape, dtype=bool)
    threshold = otsu(data)
    if stripped is None:
        stripped = _is_stripped(data, threshold)
    mask = data != 0 if stripped else data > threshold
    from scipy import ndimage  # late: a bare training machine has none and needs none

    labels, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    return np.asarray(_fill(mask), dtype=bool)


def _is_stripped(data: NDArray[np.float32], threshold: float) -> bool:
    """Many exact zeros, and next to nothing as faint as air between them and the tissue."""
    present = data != 0
    if float(present.mean()) > 1.0 - BRAIN_ONLY_ZEROS:
        return False
    faint = np.count_nonzero(np.abs(data[present]) < 0.1 * threshold)
    return faint <= BRAIN_ONLY_FAINT * np.count_nonzero(present)


def otsu(data: NDArray[np.float32]) -> float:
    """Threshold that maximises the variance between two classes (Otsu 1979), on 256 bins.

    The bins end at the 99.9th percentile, so that a few bright vessels do not eat them up.
    """
    low, high = float(data.min()), float(np.percentile(data[:: max(1, len(data) // 64)], 99.9))
    if high <= low:
        high = float(data.max())
    counts, edges = np.histogram(np.clip(data, low, high), bins=_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    total = float((counts * centres).sum())
    mean_above = (total - np.cumsum(counts * centres)) / np.maximum(above, 1)
    between = below.astype(np.float64) * above * (mean_below - mean_above) ** 2
    return float(edges[int(between.argmax()) + 1])


def percentile_scale(
    data: NDArray[np.floating[Any]], mask: NDArray[np.bool_], percentile: float = 99.5
) -> float:
    """The given percentile inside the mask (whole image when the mask is empty), never zero."""
    values = data[mask] if mask.any() else data[np.isfinite(data)]
    scale = float(np.percentile(values, percentile)) if values.size else 1.0
    return scale if scale > 0 else float(np.abs(values).max(initial=0.0)) or 1.0


def _fill(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill holes in the volume and in every slice along the last axis (thick slices are open)."""
    from scipy import ndimage

    filled = np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)
    for k in range(filled.shape[2]):
        filled[:, :, k] = ndimage.binary_fill_holes(filled[:, :, k])
    return filled
