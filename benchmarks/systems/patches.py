"""Scores of patches with and without a lesion: how well they tell them apart, in all and in each patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.baselines import threshold
from benchmarks.systems.section import Table
from medgan_core.data.samples import Samples
from medgan_core.data.stacks import FOREGROUND
from medgan_core.errors import InputError
from medgan_core.metrics.detection import (
    Interval,
    area_under_roc,
    average_precision,
    delong_interval,
    patient_bootstrap,
)
from medgan_core.training.loading import collate

_SEED = 0

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of patients who were left out.

    Args:
        images: (n, 1, *size), 1 = the 99.5th percentile of the foreground.
        lesion: (n,), whether a patch shows one.
        patients: (n,), whose.
    """

    images: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    patients: NDArray[np.str_]

    @staticmethod
    def first(samples: Samples, count: int) -> Patches:
        """The first patches of a recipe's samples, which know their patients."""
        batch = collate([samples[n] for n in range(count)])
        names = np.array(samples.patients)  # type: ignore[attr-defined]  # patches have them
        return Patches(batch["image"].numpy(), batch["lesion"].bool().numpy(), names[batch["case"].numpy()])

    def brightness(self) -> Scores:
        """Mean of the brightest 1 % of each patch's foreground."""
        images = self.images[:, 0]
        return threshold.patch_scores(threshold.intensity(images), images > FOREGROUND)

    def within_patients(self, scores: Scores) -> Scores:
        """Scores as ranks (0 to 1) among those of the same patient: what differs between patients is gone."""
        out = np.empty(len(scores))
        for patient in np.unique(self.patients):
            own = self.patients == patient
            out[own] = np.argsort(np.argsort(scores[own])) / max(1, int(own.sum()) - 1)
        return out


def judge(patches: Patches, scores: Scores) -> dict[str, Any]:
    """AUROC with both intervals, average precision with its interval, and the AUROC in each patient."""
    lesion, patients = patches.lesion, patches.patients
    by_patient = {}
    for patient in np.unique(patients):
        own = patients == patient
        if 0 < np.count_nonzero(lesion[own]) < np.count_nonzero(own):
            by_patient[str(patient)] = area_under_roc(scores[own], lesion[own])

    def over_patients(statistic: Callable[..., float]) -> list[float] | None:
        try:
            found = patient_bootstrap(statistic, scores, lesion, patients, seed=_SEED)
        except InputError:  # a single patient has no spread
            return None
        return [found.low, found.high]

    delong: Interval = delong_interval(scores, lesion)
    return {
        "auroc": delong.value,
        "delong": [delong.low, delong.high],
        "auroc_patients": over_patients(area_under_roc),
        "average_precision": average_precision(scores, lesion),
        "average_precision_patients": over_patients(average_precision),
        "by_patient": by_patient,
    }


def table(found: Mapping[str, Mapping[str, Any]], label: str = "score") -> Table:
    """A row for each score that was judged, with a column for each patient."""
    patients = list(dict.fromkeys(p for one in found.values() for p in one["by_patient"]))
    columns = [label, "AUROC (95 % DeLong)", "95 % over patients", "average precision (95 % over patients)"]
    rows = [
        [
            name,
            f"{one['auroc']:.3f} ({_interval(one['delong'])})",
            _interval(one["auroc_patients"]),
            f"{one['average_precision']:.3f} ({_interval(one['average_precision_patients'])})",
            *(f"{one['by_patient'][p]:.3f}" if p in one["by_patient"] else "-" for p in patients),
        ]
        for name, one in found.items()
    ]
    return Table((*columns, *(f"AUROC in {p}" for p in patients)), rows)


def counted(patches: Patches) -> str:
    """How many patches of how many patients, in words."""
    shares: Sequence[str] = [
        f"{patient} {int((patches.patients == patient).sum())}" for patient in np.unique(patches.patients)
    ]
    return (
        f"{len(patches.lesion)} patches, {int(patches.lesion.sum())} with a lesion, of n = {len(shares)} "
        f"patients ({', '.join(shares)})"
    )


def _interval(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
