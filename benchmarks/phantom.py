"""A head of ellipsoids whose true T1 and T2 are known, for timings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIELD_MM, HEAD_MM = (256.0, 256.0, 180.0), (159.0, 202.0, 220.0)


def phantom(shape: tuple[int, int, int]) -> dict[str, NDArray[np.float32]]:
    """True T1 and T2 of a head of ellipsoids in the field of view, (i, j, k), and the mask of the head.

    The head is as large as the median of the 16 whole-head label maps that the models are trained on
    (159 mm wide, 202 mm long, 220 mm high with a part of the neck; the largest is 165 x 225 x 248 mm). Its
    crown is 5 mm below the upper edge of the field of view, its lower part is cut off by the lower edge.
    """
    axes = [
        (np.arange(n, dtype=np.float32) + 0.5) * (field / n) - field / 2
        for n, field in zip(shape, FIELD_MM, strict=True)
    ]
    axes[2] = axes[2] - (FIELD_MM[2] / 2 - 5 - HEAD_MM[2] / 2)
    i, j, k = (a / (side / 2) for a, side in zip(np.ix_(*axes), HEAD_MM, strict=True))
    t1, t2 = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    parts = (  # half axes and centre as shares of the head's half axes, T1, T2
        ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 900, 500),  # scalp
        ((0.94, 0.95, 0.95), (0.0, 0.0, 0.0), 120, 80),  # skull
        ((0.88, 0.90, 0.90), (0.0, 0.0, 0.0), 250, 1000),  # CSF
        ((0.84, 0.86, 0.86), (0.0, 0.0, 0.0), 550, 620),  # grey matter
        ((0.67, 0.71, 0.69), (0.0, 0.0, 0.0), 800, 480),  # white matter
        ((0.09, 0.27, 0.18), (0.18, 0.0, 0.1), 250, 1000),  # ventricles
        ((0.09, 0.27, 0.18), (-0.18, 0.0, 0.1), 250, 1000),
        ((0.13, 0.13, 0.13), (0.32, 0.33, -0.1), 600, 700),  # a lesion
        # Neck: joins brain and scalp, as in a patient; else the crop would take the brain alone.
        ((0.85, 0.85, 0.12), (0.0, 0.0, -0.55), 600, 400),
    )
    for half, centre, one, two in parts:
        inside = sum(((x - c) / h) ** 2 for x, c, h in zip((i, j, k), centre, half, strict=True)) < 1
        t1[inside], t2[inside] = one, two
    return {"T1": t1, "T2": t2, "head": (t1 > 0).astype(np.float32)}


def noisy(image: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Rician noise, as a share of the largest value."""
    rng = np.random.default_rng(0)
    sigma = np.float32(share * image.max())
    parts = [rng.standard_normal(image.shape, dtype=np.float32) * sigma for _ in range(2)]
    return np.hypot(image + parts[0], parts[1])
