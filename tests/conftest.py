"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medgan_core.registry import Registry
from medgan_core.volume import Geometry, Volume
from tests.models import (
    toy_anomaly,
    toy_denoise,
    toy_inpaint,
    toy_restorer,
    toy_thin_slices,
    toy_translate,
)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one toy model of every kind, some under the names of shipped ones."""
    folder = tmp_path_factory.mktemp("models")
    for save in (toy_translate, toy_denoise, toy_thin_slices, toy_inpaint, toy_anomaly, toy_restorer):
        save(folder)
    return folder


@pytest.fixture(scope="session")
def toy_registry(toy_folder: Path) -> Registry:
    """A registry of the toy models alone."""
    return Registry([toy_folder])


@pytest.fixture(scope="session")
def oblique_head() -> Volume:
    """A small head-like volume on an oblique, anisotropic, left-handed grid (shells of an ellipsoid)."""
    shape = (44, 52, 13)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt(axes[0] ** 2 / 0.6 + axes[1] ** 2 / 0.8 + axes[2] ** 2 / 1.1)
    data = np.where(radius < 1, 300 + 200 * np.cos(7 * radius), 0).astype(np.float32)
    data += (radius < 1) * np.random.default_rng(0).normal(0, 8, shape).astype(np.float32)
    turn = np.array([[0.95, -0.28, 0.1], [0.27, 0.95, 0.12], [-0.13, -0.09, 0.98]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-3.1, 3.4, 10.0])
    affine[:3, 3] = (70.0, -80.0, -40.0)
    return Volume(np.maximum(data, 0), Geometry(shape, affine))
