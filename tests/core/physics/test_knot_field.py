from __future__ import annotations

import pytest
import torch

from medgan_core.physics.knot_field import KnotField

SHAPE, SPACING = (30, 24, 12), (1.0, 2.0, 5.0)


def field(**options: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    knots = KnotField(SHAPE, SPACING, 8.0, generator, **options)
    return torch.stack([knots.slice(k) for k in range(SHAPE[2])], dim=2)


def test_knots_are_so_many_mm_apart_and_joined_by_straight_lines() -> None:
    values = field()
    between = values[:9, 0, 0]  # voxels 0 to 8 lie 0 to 8 mm from the first knot
    torch.testing.assert_close(between, torch.lerp(between[0], between[-1], torch.arange(9) / 8))
    assert float((values[8:17, 0, 0].diff() - between.diff()).abs().min()) > 1e-3


@pytest.mark.parametrize("limit", [0.5, 2.0])
def test_no_slope_is_steeper_than_the_limit_says(limit: float) -> None:
    values = field(limit=limit)
    assert float(values.abs().max()) <= limit
    for axis, spacing in enumerate(SPACING):
        assert float(values.diff(dim=axis).abs().max()) / spacing <= 2 * limit / 8 + 1e-6
