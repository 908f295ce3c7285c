"""Whole scans of patients whose lesions are marked, to be judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medgan_core.data.cases import Case
from medgan_core.data.lesion_scans import LESION, SHOWN
from medgan_core.preprocess import Preprocess, forward, place_mask


class MarkedScans:
    """Scans as a served model sees them, with all contrasts that are there.

    Args:
        cases: with some of the contrasts `SHOWN`, the first among them, and the label map `LESION`.
        settings: of the model.
    """

    def __init__(self, cases: Sequence[Case], settings: Preprocess) -> None:
        self._cases, self._settings = list(cases), settings

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Image (contrasts, i, j, k), label (1, i, j, k) int64, and which images are present (contrasts,)."""
        case = self._cases[number]
        volumes = [case.images[key].volume() if key in case.images else None for key in SHOWN]
        image, placement = forward(self._settings, volumes)
        lesion = place_mask(case.label(LESION, like=SHOWN[0]) > 0, placement)
        return {
            "image": torch.from_numpy(image),
            "label": torch.from_numpy(lesion.astype(np.int64))[None],
            "present": torch.tensor([volume is not None for volume in volumes]),
        }
