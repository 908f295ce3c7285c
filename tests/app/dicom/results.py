"""Results to be stored: what a model's run says about itself, and a volume with fractional values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medgan_core.volume import Volume
from monailabel_app.dicom.making import Making

TRANSLATED = Making(
    key="T2",
    title="T2-weighted",
    model="toy-translate",
    version="0.1.0",
    sha256="0123456789abcdef" * 4,
    task="translate",
    inputs=("T1",),
    seed=7,
    verdict="caution",
    software="0.1.0",
    created=datetime(2026, 11, 20, 9, 30, 15, tzinfo=UTC),
)
DENOISED = replace(TRANSLATED, key="image", title="Denoised image", model="toy-denoise", task="denoise")


def fractional(volume: Volume) -> Volume:
    """The same place with values that no integer holds, some below zero."""
    noise = np.random.default_rng(3).normal(0, 5, volume.data.shape)
    return volume.with_data((volume.data * 1.2345 + noise).astype(np.float32))


def write(instances: list[Dataset], folder: Path) -> list[Path]:
    """One file for every instance."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03d}.dcm" for number in range(len(instances))]
    for path, instance in zip(paths, instances, strict=True):
        pydicom.dcmwrite(path, instance, write_like_original=False)
    return paths
