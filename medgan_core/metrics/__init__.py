"""How close an image is to the truth, and how well its trust map knows where it is not.

Conventions of every function here: arrays are (i, j, k) with the slices along the last axis, intensities
are in units in which the truth's 99.5th foreground percentile is 1, and only voxels inside the mask count.
"""

from medgan_core.metrics.image import fit_gain, mean_absolute_error, peak_signal_to_noise
from medgan_core.metrics.ssim import multi_scale_ssim, structural_similarity
from medgan_core.metrics.trust import block_means, error_rank_correlation, interval_coverage

__all__ = [
    "block_means",
    "error_rank_correlation",
    "fit_gain",
    "interval_coverage",
    "mean_absolute_error",
    "multi_scale_ssim",
    "peak_signal_to_noise",
    "structural_similarity",
]
