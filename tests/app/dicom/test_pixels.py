"""16 bits hold real values within the error that is stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.valuerep import DSfloat

from monailabel_app.dicom.pixels import Scale, window

values = st.floats(-1e6, 1e6, width=32)


@given(arrays.arrays(np.float32, (3, 4, 2), elements=values))
def test_the_stated_error_is_kept(data: np.ndarray) -> None:
    scale = Scale.of(data)
    # As a reader does it, from the decimal strings of the file.
    slope, intercept = (float(str(DSfloat(n, auto_format=True))) for n in (scale.slope, scale.intercept))
    back = scale.codes(data).astype(np.float64) * slope + intercept
    assert (slope, intercept) == (scale.slope, scale.intercept)
    assert np.abs(back - data).max() <= scale.error * (1 + 1e-9) + 1e-7
    span = float(data.max()) - float(data.min())
    assert scale.error <= max(span / 65535 / 2 * (1 + 1e-9), 0)


@pytest.mark.parametrize("low", [-1024, 0, 3])
def test_whole_numbers_are_kept_exactly(low: int) -> None:
    data = np.arange(low, low + 65536, 5, dtype=np.float32)
    scale = Scale.of(data)
    assert (scale.slope, scale.error) == (1.0, 0.0)
    np.testing.assert_array_equal(scale.codes(data) * scale.slope + scale.intercept, data)


def test_a_flat_volume_is_kept_and_has_no_window() -> None:
    data = np.full((2, 2), 0.625, np.float32)
    scale = Scale.of(data)
    np.testing.assert_array_equal(scale.codes(data) * scale.slope + scale.intercept, data)
    assert window(data) is None


def test_the_window_leaves_out_rare_peaks() -> None:
    data = np.linspace(0, 1000, 10_001)
    data[-1] = 1e6
    centre, width = window(data) or (0, 0)
    assert width == pytest.approx(995, abs=1)
    assert centre == pytest.approx(497.5, abs=1)
