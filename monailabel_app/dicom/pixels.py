"""Real values in 16 bits: one linear scale for a whole volume, with a known largest error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.valuerep import format_number_as_ds

_CODES = 65535


@dataclass(frozen=True)
class Scale:
    """Value = code x slope + intercept, codes from 0 to 65535 (PS3.3 C.11.1, Modality LUT).

    Args:
        slope: as its decimal string in the file says, so that nothing is lost by writing it.
        intercept: likewise.
        error: largest difference between a value and what is stored for it, in the volume's unit.
    """

    slope: float
    intercept: float
    error: float

    @staticmethod
    def of(data: NDArray[Any]) -> Scale:
        """The finest scale that holds every value; whole numbers that fit are kept exactly.

        Args:
            data: finite values of any shape.
        """
        low, high = float(data.min()), float(data.max())
        whole = data.dtype.kind in "biu" or bool((data == np.rint(data)).all())
        if high - low <= _CODES and (whole or high == low):
            return Scale(1.0, _decimal(low), 0.0)
        slope = _decimal((high - low) / _CODES)
        return Scale(slope, _decimal(low), slope / 2)

    def codes(self, data: NDArray[Any]) -> NDArray[np.uint16]:
        """Stored values, uint16, of the same shape."""
        exact = (np.asarray(data, dtype=np.float64) - self.intercept) / self.slope
        return np.asarray(np.clip(np.rint(exact), 0, _CODES), dtype=np.uint16)


def window(data: NDArray[Any]) -> tuple[float, float] | None:
    """Centre and width that show a volume well, in its unit; None where it is too flat for a window.

    From the smallest value to the 99.5th percentile; PS3.3 C.11.2.1.2 asks for a width of at least 1.
    """
    low, high = float(data.min()), float(np.percentile(data, 99.5))
    return ((low + high) / 2, high - low) if high - low >= 1 else None


def _decimal(value: float) -> float:
    """The nearest number that a decimal string (at most 16 characters) can say."""
    return float(format_number_as_ds(value))
