"""One prediction against one truth, by the conventions that every figure of this project follows.

The truth is divided by the 99.5th percentile of its foreground, the prediction is fitted to it by one
least-squares gain; only the truth's foreground counts. Where slices are thick SSIM works in their plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines.gradient import gradient_magnitude
from medgan_core import metrics
from medgan_core.foreground import foreground, percentile_scale
from medgan_core.preprocess import slice_axes
from medgan_core.volume import Geometry, Volume

FIGURES = ("psnr", "ssim", "mae", "ms_ssim")
_THICK = 1.5


def oriented(array: NDArray, geometry: Geometry) -> NDArray[np.float32]:
    """A copy of (i, j, k) with the slices along the last axis, float32."""
    axes, flips = slice_axes(geometry)
    view = array.transpose(axes)
    return np.ascontiguousarray(np.flip(view, flips) if flips else view, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """A true image ready to be compared with.

    Args:
        image: (i, j, k), slices last, 1 = the 99.5th percentile of the foreground.
        mask: the foreground, the same shape.
        scale: the value that became 1, in the file's unit.
        geometry: of the file.
        spacing: along (i, j, k) of `image` in mm.
        slice_wise: slices are thick.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    scale: float
    geometry: Geometry
    spacing: tuple[float, float, float]
    slice_wise: bool

    @staticmethod
    def of(volume: Volume, *, brain_only: bool) -> Truth:
        """From a volume as read; `brain_only` tells that its background was removed."""
        data = oriented(volume.data[0], volume.geometry)
        mask = foreground(data, stripped=brain_only)
        scale = percentile_scale(data, mask)
        axes, _ = slice_axes(volume.geometry)
        i, j, k = (volume.geometry.spacing[a] for a in axes)
        return Truth(
            data / np.float32(scale), mask, scale, volume.geometry, (i, j, k), k > _THICK * max(i, j)
        )

    def back(self, image: NDArray[np.float32]) -> Volume:
        """An image on this grid, such as a noisy copy, as a volume in the file's own order and unit."""
        axes, flips = slice_axes(self.geometry)
        view = np.flip(image, flips) if flips else image
        inverse = [axes.index(a) for a in range(3)]
        data = np.ascontiguousarray(view.transpose(inverse)) * np.float32(self.scale)
        return Volume(data, self.geometry)


def score(truth: Truth, image: NDArray[np.float32]) -> dict[str, float]:
    """PSNR (dB), SSIM, MAE and MS-SSIM of an image of any scale, and the gain that was fitted."""
    gain = metrics.fit_gain(image, truth.image, truth.mask)
    fitted = np.float32(gain) * image
    arguments = (fitted, truth.image, truth.mask)
    return {
        "psnr": metrics.peak_signal_to_noise(*arguments),
        "ssim": metrics.structural_similarity(*arguments, slice_wise=truth.slice_wise),
        "mae": metrics.mean_absolute_error(*arguments),
        "ms_ssim": metrics.multi_scale_ssim(*arguments, slice_wise=truth.slice_wise),
        "gain": gain,
    }


def score_trust(
    truth: Truth, image: NDArray[np.float32], expected: NDArray[np.float32], edges: list[NDArray[np.float32]]
) -> dict[str, float]:
    """How well a trust map knows the errors, beside what the edges of images would have known.

    Args:
        truth: to compare with.
        image: the prediction, any scale.
        expected: its expected absolute error in the same scale.
        edges: images whose gradient magnitudes are the baseline; the best of them is given.

    Returns:
        Spearman's rank correlation over 5 mm blocks of the trust map (`spearman`) and of the best gradient
        map (`gradient_spearman`), and the coverage of the 90 % interval.
    """
    gain = metrics.fit_gain(image, truth.image, truth.mask)
    error = np.float32(gain) * image - truth.image
    expected = np.float32(abs(gain)) * expected

    def rank(values: NDArray[np.float32]) -> float:
        return metrics.error_rank_correlation(values, error, truth.mask, spacing=truth.spacing)

    return {
        "spearman": rank(expected),
        "gradient_spearman": max(rank(gradient_magnitude(e, spacing=truth.spacing)) for e in edges),
        "coverage": metrics.interval_coverage(expected, error, truth.mask),
    }
