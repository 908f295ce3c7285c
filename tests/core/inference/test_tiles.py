from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgan_core.inference.tiles import padded, starts, weights

numbers = st.integers(1, 12)


@settings(deadline=None)
@given(multiple=st.sampled_from([1, 4, 16]), size=numbers, tile=numbers, overlap=st.integers(0, 60))
def test_tiles_cover_a_side_on_the_grid_and_weights_sum_to_one(
    multiple: int, size: int, tile: int, overlap: int
) -> None:
    size, tile = size * multiple, min(tile, size) * multiple
    begins = starts(size, tile, overlap, multiple)
    assert all(begin % multiple == 0 and begin + tile <= size for begin in begins)
    total = torch.zeros(size, dtype=torch.float64)
    table = weights(size, tile, overlap, begins)
    assert (table >= 0).all()
    for begin, row in zip(begins, table, strict=True):
        total[begin : begin + tile] += row.double()
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)


@settings(deadline=None)
@given(multiple=st.sampled_from([4, 16]), size=st.integers(5, 40), overlap=st.integers(1, 4))
def test_neighbours_share_at_least_the_overlap(multiple: int, size: int, overlap: int) -> None:
    tile = 5 * multiple
    begins = starts(size * multiple, tile, overlap * multiple - 1, multiple)
    shared = [a + tile - b for a, b in pairwise(begins)]
    assert all(pixels >= overlap * multiple - 1 for pixels in shared)


def test_the_border_of_a_tile_has_no_weight_but_that_of_the_slice_has() -> None:
    begins = starts(96, 64, 32, 16)
    first, last = weights(96, 64, 32, begins)
    assert begins == [0, 32]
    assert (first[-12:] == 0).all()
    assert (last[:12] == 0).all()
    assert first[0] == last[-1] == 1
    assert (first[:32].diff() <= 0).all()


def test_padded_is_the_next_multiple() -> None:
    assert [padded(n, 16) for n in (1, 16, 17)] == [16, 16, 32]
