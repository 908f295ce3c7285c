from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.data.degradation import MaskedSamples, slice_profile, thick_slices
from medgan_core.data.masks import MASKS, LesionShapes
from medgan_core.errors import UsageError


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_profiles_sum_to_one_and_have_their_width(factor: int) -> None:
    for name in ("box", "gaussian"):
        weights = slice_profile(factor, name)
        assert float(weights.sum()) == pytest.approx(1)
        torch.testing.assert_close(weights, weights.flip(0))
    fine = slice_profile(1000, "gaussian")
    assert int((fine >= fine.max() / 2).sum()) == pytest.approx(1000, abs=2)


def test_a_box_is_the_mean_of_its_slices() -> None:
    image = torch.randn((2, 6, 8, 4), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        thick_slices(image, factor=4, axis=2, profile="box"), image.reshape(2, 6, 2, 4, 4).mean(3)
    )


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("axis", [1, -1])
def test_a_ramp_keeps_its_place_and_a_constant_its_value(factor: int, axis: int) -> None:
    ramp = torch.arange(24.0).reshape(1, 24, 1).expand(1, 24, 24)
    ramp = ramp if axis == 1 else ramp.transpose(1, 2)
    thick = thick_slices(ramp, factor=factor, axis=axis).movedim(axis, -1)[0, 0]
    centres = (torch.arange(24 // factor) + 0.5) * factor - 0.5
    torch.testing.assert_close(thick[1:-1], centres[1:-1])
    torch.testing.assert_close(
        thick_slices(torch.ones(1, 8, 8), factor=factor), torch.ones(1, 8, 8 // factor)
    )


def test_thickness_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple"):
        thick_slices(torch.ones(1, 7, 7), factor=2)
    with pytest.raises(UsageError, match="profile"):
        thick_slices(torch.ones(1, 8, 8), factor=2, profile="sinc")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(32, 24), (16, 24, 20), (3, 32, 32)])
@pytest.mark.parametrize("kind", [*MASKS, "lesion"])
def test_masks_have_a_sensible_size(kind: str, shape: tuple[int, ...]) -> None:
    lesions = torch.zeros((20, 40, 40), dtype=torch.bool)
    lesions[5:9, 10:16, 20:24] = True
    draw = {**MASKS, "lesion": LesionShapes([torch.zeros_like(lesions), lesions])}[kind]
    masks = []
    for n in range(30):
        mask = draw(shape, np.random.default_rng(n), torch.Generator().manual_seed(n))
        assert mask.shape == shape
        assert mask.dtype == torch.bool
        assert 0 < float(mask.float().mean()) < 0.6
        masks.append(mask.numpy().tobytes())
    assert len(set(masks)) > 10


def test_missing_slices_are_whole() -> None:
    for n in range(10):
        mask = MASKS["slices"]((6, 5, 12), np.random.default_rng(n), torch.Generator())
        lost = mask.all(dim=0).all(dim=0)
        assert torch.equal(lost, mask.any(dim=0).any(dim=0))
        assert 1 <= int(lost.sum()) <= 3


def test_lesion_shapes_keep_their_voxels() -> None:
    lesions = torch.zeros((9, 30, 30), dtype=torch.bool)
    lesions[4, 10:13, 15:20] = True
    shapes = LesionShapes([lesions])
    for n in range(10):
        mask = shapes((24, 24), np.random.default_rng(n), torch.Generator())
        assert int(mask.sum()) == 15
    with pytest.raises(UsageError, match="lesion"):
        LesionShapes([torch.zeros((2, 3, 3))])


class _Disc:
    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        axis = torch.linspace(-1, 1, 40)
        return {"image": ((axis[:, None] ** 2 + axis**2) < 0.3).float()[None], "number": torch.tensor(number)}


def test_holes_lie_on_the_foreground_and_the_image_is_lost_there_only() -> None:
    samples = MaskedSamples(_Disc(), kinds=("blob", "box"), seed=4)
    for n in range(20):
        sample = samples[n]
        image, hole, masked = sample["image"], sample["hole"], sample["masked"]
        assert float((hole * image).sum()) >= 0.4 * float(hole.sum())
        assert torch.equal(masked, torch.where(hole > 0, torch.zeros(()), image))
        assert int(sample["number"]) == n
    assert torch.equal(samples[3]["hole"], samples[3]["hole"])
