from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medgan_core.physics.labels import LABEL_NAMES
from medgan_core.physics.painting import Scan, paint, white_noise
from medgan_core.physics.simulation import Head, tissue_map
from medgan_core.physics.tissues import INDEX, TISSUE_OF_LABEL
from tests.phantom import head_labels

TISSUE = tissue_map(head_labels((32, 36, 20)))
SCAN = Scan(
    head=Head.draw(np.random.default_rng(0)),
    contrast="T1",
    texture=0.05,
    shading=0.4,
    sharpness=0.6,
    seed=3,
)


def painted(scan: Scan) -> np.ndarray:
    return paint(TISSUE, (1.0, 1.0, 3.0), scan, lambda done: None)


def test_every_label_of_the_simulation_has_a_name() -> None:
    assert set(LABEL_NAMES) == set(TISSUE_OF_LABEL)


def test_without_effects_a_tissue_has_the_signal_of_its_equation() -> None:
    plain = painted(replace(SCAN, texture=0.0, shading=0.0, sharpness=0.05))
    for name in ("white", "grey", "csf"):
        n = INDEX[name]
        wanted = SCAN.sequence(SCAN.head.pd[n], SCAN.head.t1[n], SCAN.head.t2[n])
        np.testing.assert_allclose(plain[n == TISSUE], float(wanted), rtol=1e-5)
    assert not plain[INDEX["air"] == TISSUE].any()


def test_texture_and_shading_are_as_strong_as_asked_for() -> None:
    white = INDEX["white"] == TISSUE
    shaded = painted(replace(SCAN, texture=0.0, shading=0.8, sharpness=0.05))
    plain = painted(replace(SCAN, texture=0.0, shading=0.0, sharpness=0.05))
    assert float((shaded / plain.clip(1e-6))[white].min()) == pytest.approx(np.exp(-0.8), rel=0.02)
    spreads = [
        painted(replace(SCAN, texture=t, shading=0.0, sharpness=0.05))[white].std() for t in (0.02, 0.08)
    ]
    assert spreads[1] > 2 * spreads[0]


def test_the_seed_decides_the_texture() -> None:
    np.testing.assert_array_equal(painted(SCAN), painted(SCAN))
    assert np.abs(painted(SCAN) - painted(replace(SCAN, seed=4))).max() > 1e-3


def test_noise_of_a_slice_does_not_depend_on_how_many_there_are() -> None:
    few, many = white_noise((20, 20, 3), 1), white_noise((20, 20, 9), 1)
    np.testing.assert_array_equal(few, many[..., :3])
    assert abs(float(np.corrcoef(many[..., 0].ravel(), many[..., 1].ravel())[0, 1])) < 0.15
    assert float(many.std()) == pytest.approx(1.0, abs=0.05)
