"""Lesions of multiple sclerosis, painted into simulated white matter."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medgan_core.physics.noise import smooth_field
from medgan_core.physics.tissues import INDEX

_FREE = 0.15
"""Share of the slabs without a lesion."""

_MOST = 25
_RADIUS = (0.8, 8.0)
_NEAR, _PERIVENTRICULAR = 9, 0.55
"""Side of the square around fluid that is periventricular, and the share of lesions that begin there."""

_WOBBLE_KNOTS = 24


def add_ms_lesions(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Paint none to many ovoid lesions into white matter, in place; half of them beside the ventricles.

    The cortex lies between white matter and the fluid outside of the brain, so that white matter with fluid
    nearby is that around the ventricles. Sites and shapes: Filippi et al., "Assessment of lesions on magnetic
    resonance imaging in multiple sclerosis: practical guidelines", Brain 2019.

    Args:
        labels: tissue numbers (d, h, w).
        rng: draws number, place and size.
        generator: draws the shapes.

    Returns:
        The same tensor.
    """
    white = labels == INDEX["white"]
    if rng.random() < _FREE or int(white.sum()) < 200:
        return labels
    fluid = (labels == INDEX["csf"]).float()[:, None]
    near = _spread(fluid, _NEAR)[:, 0] > 0
    everywhere, beside = white.nonzero(), (white & near).nonzero()
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    wobble = 1 + 0.35 * smooth_field(shape, _WOBBLE_KNOTS, generator=generator)
    for _ in range(int(np.exp(rng.uniform(0, np.log(_MOST))))):
        sites = beside if len(beside) and rng.random() < _PERIVENTRICULAR else everywhere
        centre = sites[int(rng.integers(len(sites)))]
        radius = np.exp(rng.uniform(*np.log(_RADIUS)))
        _paint(labels, white, [int(c) for c in centre], radius * np.exp(rng.normal(0, 0.25, 3)), wobble)
    return labels


def _spread(mask: Tensor, side: int) -> Tensor:
    """The largest value in a square around each pixel; (n, 1, h, w), one direction after the other."""
    rows = functional.max_pool2d(mask, (side, 1), stride=1, padding=(side // 2, 0))
    return functional.max_pool2d(rows, (1, side), stride=1, padding=(0, side // 2))


def _paint(
    labels: Tensor,
    white: Tensor,
    centre: list[int],
    radii: np.ndarray[tuple[int], np.dtype[np.float64]],
    wobble: Tensor,
) -> None:
    """One ellipsoid, worked on in its box alone."""
    box = tuple(
        slice(max(0, int(c - 2 * r)), min(n, int(c + 2 * r) + 1))
        for c, r, n in zip(centre, radii, labels.shape, strict=True)
    )
    axes = [
        ((torch.arange(b.start, b.stop) - c) / r) ** 2 for b, c, r in zip(box, centre, radii, strict=True)
    ]
    distance = (axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None]).sqrt()
    labels[box][(distance < wobble[box]) & white[box]] = INDEX["ms lesion"]
