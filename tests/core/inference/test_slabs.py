from __future__ import annotations

import numpy as np
import pytest
import torch

from medgan_core.errors import ModelError
from medgan_core.inference import Signature, slabs
from tests.core.inference.toys import Toy, slab_unet


def naive(array: np.ndarray, middle: int, slices: int, presence: list[bool] | None) -> np.ndarray:
    planes = []
    for contrast in array:
        for offset in range(-(slices // 2), slices // 2 + 1):
            planes.append(contrast[:, :, min(max(middle + offset, 0), array.shape[3] - 1)])
    for flag in presence or []:
        planes.append(np.full(array.shape[1:3], float(flag)))
    return np.stack(planes)


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("presence", [None, [True, False]])
def test_equals_the_naive_loop(depth: int, presence: list[bool] | None) -> None:
    array = np.random.default_rng(0).random((2, 5, 6, depth), dtype=np.float32)
    index = [depth - 1, 0]
    out = slabs(torch.from_numpy(array), index, 5, presence)
    expected = np.stack([naive(array, middle, 5, presence) for middle in index])
    np.testing.assert_array_equal(out.numpy(), expected)


def test_strides_do_not_matter_and_a_buffer_is_written_into() -> None:
    array = torch.rand(2, 5, 6, 4)
    strided = array.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    buffer = torch.full((3, 8, 5, 6), 9.0)
    out = slabs(strided, [0, 1, 3], 3, [True, True], out=buffer)
    assert out.data_ptr() == buffer.data_ptr()
    assert torch.equal(out, slabs(array, [0, 1, 3], 3, [True, True]))


def test_the_middle_slice_is_where_the_blending_network_looks_for_it() -> None:
    network = slab_unet(contrasts=2, outputs=2, slices=5, presence=True, blend=True)
    for parameter in (*network.head.parameters(), *network.gates.parameters()):
        torch.nn.init.zeros_(parameter)
    network.gates.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]))
    array = torch.rand(2, 8, 8, 6)
    answer = network(slabs(array, [4], 5, [True, True]))
    assert torch.equal(answer[0, :2], array[..., 4])


def test_signature_is_read_from_the_network_and_others_are_refused() -> None:
    network = slab_unet(contrasts=4, outputs=3, slices=3, presence=True)
    assert Signature.of(network).channels == network.in_channels == 16
    with pytest.raises(ModelError, match="cannot be applied"):
        Signature.of(torch.nn.Conv2d(1, 1, 1))
    volumetric = Toy()
    volumetric.spatial_dims = 3
    with pytest.raises(ModelError, match="spatial_dims 3"):
        Signature.of(volumetric)
