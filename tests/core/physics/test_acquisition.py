from __future__ import annotations

import math

import pytest
import torch

from medgan_core.physics.acquisition import Pose, jerked, measured, moved, toned

STILL = Pose(turn=0.0, shift=(0.0, 0.0))


def slices(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_a_tone_curve_keeps_the_percentile_and_the_order() -> None:
    values = torch.tensor([-0.5, 0.0, 0.2, 1.0, 1.3])
    out = toned(values, 1.4, 1.0)
    assert float(out[3]) == pytest.approx(1.0)
    assert bool((out.diff() > 0).all())


def test_a_pose_shifts_by_millimetres_and_turns_in_millimetres() -> None:
    image = torch.zeros(1, 20, 30)
    image[0, 6, 12] = 1.0
    shifted = moved(image, Pose(turn=0.0, shift=(4.0, -3.0)), (2.0, 0.5))
    assert torch.nonzero(shifted[0] > 0.9).tolist() == [[4, 18]]
    wide = torch.zeros(1, 20, 40)
    wide[0, 10:16, 18:22] = 1.0  # 6 x 4 pixels of 2 x 1 mm, from the middle along the first axis
    turned = moved(wide, Pose(turn=math.pi / 2, shift=(0.0, 0.0)), (2.0, 1.0))
    assert float(turned.sum()) == pytest.approx(float(wide.sum()), rel=0.05)
    rows, columns = torch.nonzero(turned[0] > 0.5).unbind(1)
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (2, 12)


def test_a_head_that_lies_still_is_seen_as_it_is() -> None:
    image = slices(2, 17, 24)
    torch.testing.assert_close(jerked(image, [STILL, STILL], [0.2, 0.7], (1.0, 1.0)), image)


def test_a_jerk_leaves_the_image_in_its_place() -> None:
    image = torch.zeros(1, 64, 64)
    image[0, 20:40, 24:44] = 1.0
    jerk = Pose(turn=0.03, shift=(0.0, 6.0))
    out = jerked(image, [jerk], [0.01], (1.0, 1.0))
    axis = torch.arange(64.0)
    middle = float((out[0].sum(0) * axis).sum() / out.sum())
    assert abs(middle - 33.5) < 1.0
    assert float((out - image).abs().mean()) > 0.01


def test_larger_voxels_are_means_between_the_same_faces() -> None:
    ramp = torch.arange(12.0).expand(2, 2, 12).clone()
    generator = torch.Generator().manual_seed(0)
    out = measured(ramp, (2, 2, 4), 0.0, generator=generator)
    torch.testing.assert_close(out[..., 1:-1], ramp[..., 1:-1])
    assert float(out[0, 0, 0]) == 1.0
    assert measured(ramp, ramp.shape, 0.0, generator=generator) is ramp


def test_noise_has_its_sigma() -> None:
    flat = torch.ones(40, 40, 40)
    noisy = measured(flat, flat.shape, 0.05, generator=torch.Generator().manual_seed(0))
    assert float(noisy.std()) == pytest.approx(0.05, rel=0.02)
