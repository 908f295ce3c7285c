from __future__ import annotations

import pytest
import torch
from skimage.restoration import inpaint_biharmonic

from medgan_core.networks.smooth_fill import smooth_fill


@pytest.mark.parametrize("dims", [2, 3])
def test_a_ramp_is_continued_over_a_hole_and_the_known_stays(dims: int) -> None:
    side = 32
    ramp = torch.linspace(-1, 1, side).reshape(1, 1, side, *[1] * (dims - 1)).expand(1, 1, *[side] * dims)
    known = torch.ones_like(ramp)
    known[(slice(None), slice(None), *[slice(12, 19)] * dims)] = 0
    filled = smooth_fill(ramp * known, known)
    assert torch.equal(filled[known > 0], ramp[known > 0])
    torch.testing.assert_close(filled, ramp, atol=0.08, rtol=0)


def smooth_image() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.nn.functional.avg_pool2d(torch.rand(1, 1, 72, 72), 9, stride=1)


def test_a_wide_hole_is_nearly_harmonic_and_never_overshoots_much() -> None:
    image = smooth_image()
    known = torch.ones_like(image)
    known[..., 20:40, 24:44] = 0
    exact = torch.where(known > 0, image, image.mean())
    for _ in range(4000):
        means = torch.nn.functional.avg_pool2d(exact, 3, stride=1, padding=1, count_include_pad=False)
        exact = torch.where(known > 0, image, means)
    filled = smooth_fill(image * known, known)
    hole = known == 0
    mean = torch.where(hole, (image * known).sum() / known.sum(), image)
    assert (filled - exact)[hole].abs().mean() < 0.35 * (mean - exact)[hole].abs().mean()
    assert image.min() - 0.05 < filled.min()
    assert filled.max() < image.max() + 0.05


def test_a_thin_hole_is_biharmonic() -> None:
    i, j = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = (torch.sin(i / 5) + torch.cos(j / 6))[None, None]
    known = torch.ones_like(image)
    known[..., 8:56, 30:33] = 0
    exact = inpaint_biharmonic(image[0, 0].double().numpy(), known[0, 0].numpy() == 0)
    filled = smooth_fill(image * known, known)[0, 0]
    hole = known[0, 0] == 0
    torch.testing.assert_close(filled[hole], torch.from_numpy(exact).float()[hole], atol=0.03, rtol=0)
    assert (filled - image[0, 0])[hole].abs().mean() < 0.013  # a harmonic surface is off by 0.039


def test_a_hole_without_any_border_is_zero() -> None:
    assert float(smooth_fill(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)).abs().max()) == 0
