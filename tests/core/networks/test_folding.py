from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from medgan_core.networks.folding import Folded, fold, unfold


def test_it_is_torchs_pixel_unshuffle_in_2d_and_has_an_inverse_in_3d() -> None:
    flat, solid = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6, 8)
    torch.testing.assert_close(fold(flat), functional.pixel_unshuffle(flat, 2), rtol=0, atol=0)
    assert fold(solid).shape == (2, 24, 2, 3, 4)
    torch.testing.assert_close(unfold(fold(solid)), solid, rtol=0, atol=0)


def test_the_channels_of_a_voxel_are_its_block() -> None:
    x = torch.arange(2 * 4 * 4 * 4).reshape(1, 2, 4, 4, 4)
    block = fold(x)[0, 8:, 1, 0, 1]
    assert sorted(block.tolist()) == sorted(x[0, 1, 2:4, 0:2, 2:4].flatten().tolist())


def test_a_folded_identity_is_the_identity() -> None:
    x = torch.rand(1, 2, 4, 4, 2)
    torch.testing.assert_close(Folded(nn.Identity())(x), x, rtol=0, atol=0)
