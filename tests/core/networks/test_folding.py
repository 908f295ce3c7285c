from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgan_core.networks.folding import Folded, binomial, fold, unfold


def test_it_is_torchs_pixel_unshuffle_in_2d_and_has_an_inverse_in_3d() -> None:
    flat, solid = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6, 8)
    torch.testing.assert_close(fold(flat), functional.pixel_unshuffle(flat, 2), rtol=0, atol=0)
    assert fold(solid).shape == (2, 24, 2, 3, 4)
    torch.testing.assert_close(unfold(fold(solid)), solid, rtol=0, atol=0)


def test_the_channels_of_a_voxel_are_its_block() -> None:
    x = torch.arange(2 * 4 * 4 * 4).reshape(1, 2, 4, 4, 4)
    block = fold(x)[0, 8:, 1, 0, 1]
    assert sorted(block.tolist()) == sorted(x[0, 1, 2:4, 0:2, 2:4].flatten().tolist())


def test_a_folded_network_leaves_no_grid_of_its_blocks() -> None:
    class Grid(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.rand(8).reshape(1, 8, 1, 1, 1)

    x = torch.full((1, 1, 6, 8, 4), 0.3)
    made = Folded(Grid())(x)[..., 1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(made, made.mean().expand_as(made))
    still = Folded(nn.Identity())(x)
    torch.testing.assert_close(still, x)


def test_binomial_weights_are_one_two_one_along_each_axis_and_edges_repeat() -> None:
    one = torch.tensor([[[4.0, 0.0, 0.0, 8.0]]])
    torch.testing.assert_close(binomial(one), torch.tensor([[[3.0, 1.0, 2.0, 6.0]]]))
    point = torch.zeros(1, 1, 3, 3)
    point[..., 1, 1] = 16
    torch.testing.assert_close(binomial(point)[0, 0], torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]))
