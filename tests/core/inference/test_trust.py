from __future__ import annotations

import numpy as np

from medgan_core.inference import expected_error


def test_is_the_mean_absolute_error_of_laplace_samples() -> None:
    log_scales = np.log(np.array([0.1, 2.0], dtype=np.float32))
    errors = np.abs(np.random.default_rng(0).laplace(0.0, [0.1, 2.0], size=(200_000, 2))).mean(axis=0)
    np.testing.assert_allclose(expected_error(log_scales), errors, rtol=0.01)


def test_calibration_multiplies_and_extreme_scales_stay_finite() -> None:
    log_scales = np.array([[0.0, 500.0, -500.0]], dtype=np.float32)
    out = expected_error(log_scales, calibration=1.5)
    assert out.dtype == np.float32
    assert out.shape == log_scales.shape
    assert np.isfinite(out).all()
    assert out[0, 0] == 1.5
    assert log_scales[0, 1] == 500.0
