"""Notices when an adversarial training has gone wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_COLLAPSED = 0.5
_SATURATED = 0.99
_SATURATED_VALIDATIONS = 2


@dataclass
class Watch:
    """Looks at the numbers of each validation and says what is wrong with them.

    - ``not finite``: any number is NaN or infinite.
    - ``collapse``: the samples resemble each other far more than the real images do: their mean pairwise
      MS-SSIM (``diversity``) has come more than half of the way from that of the real ones
      (``diversity_real``) to 1. Only what was varied once can collapse: a generator begins with samples
      that are all alike, and may take some validations to leave that behind.
    - ``saturated``: the discriminator was right (``right``) nearly always, twice in a row, so that the
      generator learns nothing from it.

    Numbers that a recipe does not give are not looked at.

    Attributes:
        varied: whether samples were varied at a validation; kept when a run is resumed.
        saturated: validations in a row at which the discriminator was right nearly always.
    """

    varied: bool = False
    saturated: int = 0

    def trouble(self, numbers: Mapping[str, float]) -> str:
        """What is wrong, in words, or "" when nothing is."""
        bad = [key for key, value in numbers.items() if not math.isfinite(value)]
        if bad:
            return "not finite: " + ", ".join(bad)
        alike, real = numbers.get("diversity"), numbers.get("diversity_real")
        if alike is not None and real is not None:
            if alike <= real + _COLLAPSED * (1 - real):
                self.varied = True
            elif self.varied:
                return f"collapse: pairwise MS-SSIM {alike:.3f} of samples against {real:.3f} of real images"
        right = numbers.get("right")
        self.saturated = self.saturated + 1 if right is not None and right > _SATURATED else 0
        if right is not None and self.saturated >= _SATURATED_VALIDATIONS:
            self.saturated = 0
            return f"saturated: the discriminator is right in {100 * right:.1f} % of its decisions"
        return ""
