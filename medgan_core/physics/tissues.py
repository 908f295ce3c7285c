"""Tissues of the head: relaxation times, and which label of a FreeSurfer-style map holds which.

Times are means between 1.5 and 3 T of the values collected by Bojorquez et al., "What are normal
relaxation times of tissues at 3 T?", Magn Reson Imaging 2017, and Stanisz et al., Magn Reson Med 2005;
each simulated head draws its own around them. Fat has the long apparent T2 of fast spin-echo trains
(Henkelman et al., "Why fat is bright in RARE and fast spin-echo imaging", JMRI 1992). Extra-cerebral
labels (500 and above) follow the maps of Billot et al., "SynthSeg", Med Image Anal 2023, named here after
where they lie. FreeSurfer has no numbers for the parts of a tumour; 471 to 473 are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """Relative proton density, T1 and T2 in ms, and how much each varies from head to head.

    Args:
        pd: 1 is water.
        t1: ms.
        t2: ms.
        spread: standard deviation of the logarithm of each value over heads.
        mixed: share of fat that varies from voxel to voxel (soft tissue of face and scalp).
        enhances: T1 shortens after contrast agent.
    """

    pd: float
    t1: float
    t2: float
    spread: float = 0.08
    mixed: bool = False
    enhances: bool = False


TISSUES: dict[str, Tissue] = {
    "air": Tissue(0.0, 1000.0, 50.0, 0.0),
    "csf": Tissue(1.0, 4000.0, 1500.0, 0.06),
    "grey": Tissue(0.83, 1350.0, 95.0),
    "deep grey": Tissue(0.80, 1150.0, 82.0),
    "pallidum": Tissue(0.76, 980.0, 62.0),
    "white": Tissue(0.70, 840.0, 72.0),
    "cerebellar white": Tissue(0.71, 880.0, 75.0),
    "brainstem": Tissue(0.74, 960.0, 80.0),
    "choroid": Tissue(0.88, 1700.0, 180.0, 0.15, enhances=True),
    "vessel": Tissue(0.45, 1600.0, 90.0, 0.4, enhances=True),
    "soft": Tissue(0.78, 1000.0, 45.0, 0.15, mixed=True),
    "fat": Tissue(0.95, 330.0, 150.0, 0.2),
    "skin": Tissue(0.75, 800.0, 40.0, 0.2),
    "mucosa": Tissue(0.90, 1300.0, 110.0, 0.2, enhances=True),
    "bone": Tissue(0.09, 500.0, 15.0, 0.3),
    "marrow": Tissue(0.75, 400.0, 120.0, 0.2),
    "vitreous": Tissue(0.98, 3600.0, 600.0),
    "ms lesion": Tissue(0.88, 1500.0, 150.0, 0.15),
    "oedema": Tissue(0.88, 1500.0, 150.0, 0.12),
    "tumour": Tissue(0.86, 1500.0, 125.0, 0.15, enhances=True),
    "necrosis": Tissue(0.95, 2700.0, 350.0, 0.2),
}

_LABELS: dict[str, tuple[int, ...]] = {
    "csf": (4, 5, 14, 15, 24, 43, 44, 72),
    "grey": (3, 8, 17, 18, 42, 47, 53, 54),
    "deep grey": (10, 11, 12, 26, 49, 50, 51, 58, 136, 137, 163, 164),
    "pallidum": (13, 52),
    "white": (2, 41, 77, 85, 530),
    "cerebellar white": (7, 46),
    "brainstem": (16, 28, 60),
    "choroid": (31, 63),
    "vessel": (30, 62, 502, 514),
    "ms lesion": (25, 57),
    "oedema": (471,),
    "tumour": (472,),
    "necrosis": (473,),
    "soft": (507, 508, 512),
    "skin": (511,),
    "mucosa": (509,),
    "bone": (515,),
    "marrow": (516,),
    "vitreous": (506,),
}

NAMES: tuple[str, ...] = tuple(TISSUES)
INDEX: dict[str, int] = {name: n for n, name in enumerate(NAMES)}
TISSUE_OF_LABEL: dict[int, int] = {label: INDEX[name] for name, labels in _LABELS.items() for label in labels}
"""Tissue number of each known label; unknown labels below 500 count as grey matter, others as soft."""

EXTRA_CEREBRAL = 500
"""Labels from here on lie outside of the brain."""
