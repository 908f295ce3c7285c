from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.training.diffaugment import Augmentation, DiffAugment

OFF = DiffAugment(brightness=0, contrast=0, translation=0, rotation=0, scaling=0, cutout=0)
STRONG = DiffAugment(rotation=20, scaling=0.2, flips=(0, 1))
SPACINGS = [(1.0, 2.0), (1.0, 1.0, 3.0)]


def batch(dims: int, count: int = 3, size: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return 2 * torch.rand(count, 2, *(size, size + 2, size - 2)[:dims], generator=generator) - 1


def drawn(policy: DiffAugment, spacing: tuple[float, ...], count: int = 3, seed: int = 0) -> Augmentation:
    return policy.draw(count, spacing=spacing, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_all_switched_off_is_the_identity(spacing: tuple[float, ...]) -> None:
    images = batch(len(spacing))
    torch.testing.assert_close(drawn(OFF, spacing)(images), images, rtol=1e-4, atol=1e-5)
    never = replace(STRONG, probability=0.0, flips=())
    torch.testing.assert_close(drawn(never, spacing)(images), images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_one_draw_does_the_same_to_everything_and_another_does_not(spacing: tuple[float, ...]) -> None:
    images = batch(len(spacing))
    augmentation = drawn(STRONG, spacing)
    once = augmentation(images)
    assert torch.equal(augmentation(images), once)
    assert torch.equal(drawn(STRONG, spacing)(images), once)
    # Channel by channel, and image by image.
    torch.testing.assert_close(augmentation(images[:, :1]), once[:, :1])
    other = augmentation(torch.cat([images[:1], images[:1], images[:1]]))
    torch.testing.assert_close(other[0], once[0])
    assert not torch.allclose(other[1], other[0], atol=0.1)
    assert not torch.allclose(drawn(STRONG, spacing, seed=1)(images), once, atol=0.1)


def test_numbers_drawn_elsewhere_give_the_same() -> None:
    numbers = torch.rand(3, STRONG.numbers(2), generator=torch.Generator().manual_seed(0))
    images = batch(2)
    assert torch.equal(STRONG.resolve(numbers, spacing=(1.0, 2.0))(images), drawn(STRONG, (1.0, 2.0))(images))
    # A process that works on a part of the batch does to it what one process does.
    part = STRONG.resolve(numbers[1:], spacing=(1.0, 2.0))(images[1:])
    torch.testing.assert_close(part, drawn(STRONG, (1.0, 2.0))(images)[1:])


@pytest.mark.parametrize("spacing", SPACINGS)
def test_gradients_flow_once_and_twice(spacing: tuple[float, ...]) -> None:
    images = batch(len(spacing), count=2, size=5).double().requires_grad_(True)
    augmentation = drawn(STRONG, spacing, count=2)
    assert torch.autograd.gradcheck(augmentation, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: augmentation(x) ** 3, (images,), fast_mode=True)
    (gradient,) = torch.autograd.grad(augmentation(images).sum(), images)
    assert gradient.any()


def test_brightness_and_contrast_are_those_of_the_paper() -> None:
    images = batch(2, count=400, size=4)
    bright = drawn(replace(OFF, brightness=0.5), (1.0, 1.0), count=400)(images)
    offsets = (bright - images).flatten(1)
    assert float(offsets.std(1).max()) < 1e-5
    assert float(offsets.min()) == pytest.approx(-0.5, abs=0.02)
    assert float(offsets.max()) == pytest.approx(0.5, abs=0.02)
    contrast = drawn(replace(OFF, contrast=0.5), (1.0, 1.0), count=400)(images)
    torch.testing.assert_close(contrast.mean((2, 3)), images.mean((2, 3)), rtol=1e-4, atol=1e-5)
    gains = contrast.std((2, 3)) / images.std((2, 3))
    torch.testing.assert_close(gains[:, 0], gains[:, 1], rtol=1e-3, atol=1e-3)
    assert float(gains.min()) == pytest.approx(0.5, abs=0.02)
    assert float(gains.max()) == pytest.approx(1.5, abs=0.02)


def test_a_translation_moves_the_image_and_lets_air_in() -> None:
    images = batch(2)
    augmentation = drawn(OFF, (1.0, 2.0))
    # Three voxels of 12 along the first axis are half of half a side.
    moved = replace(augmentation, shift=torch.tensor([[0.5, 0.0]]).expand(3, 2))(images)
    torch.testing.assert_close(moved[:, :, :9], images[:, :, 3:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[:, :, 9:], torch.full_like(moved[:, :, 9:], -1.0))
    shifts = drawn(replace(OFF, translation=0.125), (1.0, 2.0), count=500).shift
    assert float(shifts.abs().max()) == pytest.approx(2 * 0.125, abs=0.01)


def test_flips_are_exact_and_happen_half_of_the_time() -> None:
    images = batch(3, count=200, size=6)
    flipped = drawn(replace(OFF, flips=(1,)), (1.0, 1.0, 3.0), count=200)(images)
    mirrored = (flipped - images.flip(3)).abs().flatten(1).amax(1) < 1e-4
    same = (flipped - images).abs().flatten(1).amax(1) < 1e-4
    assert bool((mirrored | same).all())
    assert 70 < int(mirrored.sum()) < 130


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.5), (1.0, 1.0, 2.0)])
def test_rotations_are_rigid_in_mm_and_within_their_limits(spacing: tuple[float, ...]) -> None:
    dims = len(spacing)
    augmentation = drawn(replace(OFF, rotation=10.0), spacing, count=200)
    matrix = augmentation.matrix
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(dims).expand(200, dims, dims), atol=1e-5, rtol=0)
    angles = torch.rad2deg(
        torch.arccos(((matrix.diagonal(dim1=1, dim2=2).sum(1) - dims + 2) / 2).clamp(max=1))
    )
    assert 8 < float(angles.max()) <= 10 * math.sqrt(3 if dims == 3 else 1) + 0.1
    # A ball stays where it is and keeps its shape, whatever the grid.
    size = 21 if dims == 2 else 15
    axes = [(torch.arange(size) - size // 2) * s for s in spacing]
    square = sum((p**2 for p in torch.meshgrid(*axes, indexing="ij")), torch.zeros(()))
    ball = 2 * torch.exp(-square / 50) - 1
    turned = augmentation(ball.expand(200, 1, *ball.shape))
    inside = turned[..., 4:-4, 4:-4] if dims == 2 else turned[..., 4:-4, 4:-4, 4:-4]
    wanted = ball[4:-4, 4:-4] if dims == 2 else ball[4:-4, 4:-4, 4:-4]
    assert float((inside - wanted).abs().max()) < 0.06


def test_scaling_changes_the_size_by_its_factor() -> None:
    augmentation = drawn(replace(OFF, scaling=0.25), (1.0, 1.0), count=400)
    factors = 1 / augmentation.matrix[:, 0, 0]
    assert float(factors.min()) == pytest.approx(0.8, abs=0.01)
    assert float(factors.max()) == pytest.approx(1.25, abs=0.01)
    # Twice the size: the middle half fills the image.
    ramp = torch.linspace(-0.9, 0.9, 19).expand(1, 1, 19, 19)
    one = drawn(OFF, (1.0, 1.0), count=1)
    got = replace(one, matrix=torch.eye(2)[None] / 2)(ramp)
    torch.testing.assert_close(got, ramp / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_cutout_blanks_a_box_of_its_size(spacing: tuple[float, ...]) -> None:
    dims = len(spacing)
    images = torch.zeros(100, 1, *(16,) * dims)
    blank = drawn(replace(OFF, cutout=0.5), spacing, count=100)(images) == -1
    for axis in range(dims):
        others = [a for a in range(1, dims + 2) if a != axis + 2]
        widths = blank.any(dim=others[0], keepdim=True)
        for other in others[1:]:
            widths = widths.any(dim=other, keepdim=True)
        counts = widths.flatten(1).sum(1)
        assert int(counts.max()) == 8
        assert int(counts.min()) >= 3
    volume = blank.flatten(1).sum(1)
    boxes = torch.stack([blank.movedim(a + 2, 1).flatten(2).any(2).sum(1) for a in range(dims)], dim=1).prod(
        1
    )
    assert torch.equal(volume, boxes)


def test_labels_go_with_their_image() -> None:
    labels = torch.zeros(3, 2, 12, 14)
    labels[:, 0], labels[:, 1, 3:8, 4:9] = 1, 1
    labels[:, 0, 3:8, 4:9] = 0
    policy = replace(STRONG, brightness=0.0, contrast=0.0, cutout=0.0)
    augmentation = drawn(policy, (1.0, 2.0))
    image = 2 * labels[:, 1:] - 1
    moved = augmentation.warp(labels, background=0.0)
    torch.testing.assert_close(2 * moved[:, 1:] - 1, augmentation(image), rtol=1e-4, atol=1e-5)


def test_each_transform_has_its_chance() -> None:
    augmentation = drawn(replace(STRONG, probability=0.25), (1.0, 1.0), count=4000)
    for value, rest in ((augmentation.offset, 0), (augmentation.gain, 1), (augmentation.reach, 0)):
        assert float((value != rest).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_it_is_computed_in_full_precision_under_autocast() -> None:
    images, augmentation = batch(2), drawn(STRONG, (1.0, 2.0))
    with torch.autocast("cpu", torch.bfloat16):
        got = augmentation(images.bfloat16())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, augmentation(images), atol=0.02, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit"):
        drawn(replace(OFF, flips=(2,)), (1.0, 1.0))
    with pytest.raises(UsageError, match="does not fit"):
        drawn(OFF, (1.0,))
    with pytest.raises(UsageError, match="other images"):
        drawn(OFF, (1.0, 1.0))(batch(2, count=2))
    with pytest.raises(UsageError, match="other images"):
        drawn(OFF, (1.0, 1.0))(batch(3))
