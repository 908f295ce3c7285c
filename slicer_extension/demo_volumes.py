"""The demo's volumes: the template, a noisy copy, a volume that is no anatomy; and one figure of merit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import slicer.util

_TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def template() -> Path:
    """The T1 template inside the nilearn package."""
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise SystemExit("The demo needs the package nilearn: pip install 'medgan[scene]'")
    return Path(found.origin).parent / _TEMPLATE


def voxels(node: Any) -> np.ndarray:
    """A volume node's voxels (k, j, i) as float32."""
    return np.asarray(slicer.util.arrayFromVolume(node), dtype=np.float32)


def rician(clean: np.ndarray, level: float, seed: int) -> np.ndarray:
    """Magnitude of `clean` with complex Gaussian noise; sigma is `level` times the 99.5th percentile."""
    random = np.random.default_rng(seed)
    sigma = level * float(np.percentile(clean[clean > 0], 99.5))
    real, imaginary = (random.normal(0.0, sigma, clean.shape).astype(np.float32) for _ in range(2))
    return np.hypot(clean + real, imaginary)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB where there is tissue; the peak is the truth's largest value."""
    inside = truth > 0
    error = float(np.mean((image[inside] - truth[inside]) ** 2))
    return float(10 * np.log10(truth.max() ** 2 / error)) if error > 0 else float("inf")


def bodies(shape: tuple[int, ...]) -> np.ndarray:
    """Boxes, a cylinder and a cone in an array (k, j, i): a volume that is no anatomy at all."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    volume = np.zeros(shape, dtype=np.float32)
    volume[(np.abs(i + 0.5) < 0.3) & (np.abs(j + 0.4) < 0.3) & (np.abs(k) < 0.8)] = 400.0
    volume[((i - 0.5) ** 2 + (j + 0.4) ** 2 < 0.08) & (np.abs(k) < 0.8)] = 900.0
    volume[(np.hypot(i, j - 0.5) < 0.35 * (0.8 - k) / 1.6) & (np.abs(k) < 0.8)] = 650.0
    return volume
