from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medgan_core.training.recipes import judging


def image(seed: int, *shape: int) -> Tensor:
    return torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(24, 20), (24, 20, 5)])
def test_identical_images_have_the_best_figures(shape: tuple[int, ...]) -> None:
    x = image(0, *shape)
    mask = torch.ones_like(x, dtype=torch.bool)
    assert judging.psnr(x, x, mask).tolist() == pytest.approx([100, 100])
    assert judging.ssim(x, x, mask).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert judging.ssim(image(1, *shape), x, mask).max() < 0.5


def test_the_mask_alone_counts() -> None:
    x = image(0, 24, 20)
    mask = x > 0.5
    worse = torch.where(mask, x + 0.1, x + 5)
    expected = -20 * math.log10(0.1)
    assert judging.psnr(worse, x, mask).tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_volumes_are_compared_slice_by_slice() -> None:
    a, b = image(0, 24, 20, 5), image(1, 24, 20, 5)
    mask = torch.ones_like(a, dtype=torch.bool)
    slices = [judging.ssim(a[..., k], b[..., k], mask[..., k]) for k in range(5)]
    torch.testing.assert_close(judging.ssim(a, b, mask), torch.stack(slices).mean(0))


def test_the_gain_is_found_inside_the_mask() -> None:
    x = image(0, 24, 20)
    mask = x > 0.3
    spoiled = torch.where(mask, 0.25 * x, 7.0)
    assert torch.allclose(judging.fitted(spoiled, x, mask)[mask], x[mask], atol=1e-5)
    assert torch.equal(judging.fitted(torch.zeros_like(x), x, mask), torch.zeros_like(x))


def test_the_best_curve_finds_a_cubic_and_no_gain_beats_it() -> None:
    x = image(0, 24, 20)
    mask = x > 0.1
    cubic = 0.2 + 0.5 * x - 0.9 * x**2 + x**3
    assert torch.allclose(judging.best_curve(x, cubic, mask), cubic, atol=1e-5)
    other = image(1, 24, 20)
    curve, gain = judging.best_curve(x, other, mask), judging.fitted(x, other, mask)
    assert bool((judging.psnr(curve, other, mask) >= judging.psnr(gain, other, mask)).all())


def test_findings_name_each_prediction_and_show_eight_of_each_row() -> None:
    x = image(0, 24, 20).expand(-1, -1, -1, -1).repeat(4, 1, 1, 1)
    mask = torch.ones_like(x, dtype=torch.bool)
    found = judging.findings({"": x, "linear": x * 0}, x, mask, shown={"made": x, "input": x})
    assert set(found.numbers) == {"psnr", "ssim", "psnr_linear", "ssim_linear"}
    assert found.numbers["psnr"] > found.numbers["psnr_linear"]
    assert found.pictures is not None
    assert found.pictures.shape == (3, 8, 20, 24)
