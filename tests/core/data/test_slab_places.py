from __future__ import annotations

import numpy as np
import torch

from medgan_core.data.draws import generators
from medgan_core.data.slab_places import VIEWED, draw_place, take, whole
from medgan_core.training.recipes.suggesting import AXES, slabs_along


def test_a_place_is_the_whole_map_or_a_tilted_part_of_it() -> None:
    everything = whole((12, 5, 4), 3.0)
    assert everything.subslices == 3
    array = np.arange(12 * 5 * 4, dtype=np.uint8).reshape(12, 5, 4)
    np.testing.assert_array_equal(take(array, everything.index), array)
    options = {"slices": 1, "size": 32}
    upright = draw_place((64, 64, 64), rng=generators(0, 1)[0], generator=generators(0, 1)[1], **options)
    assert upright.index[0].shape[1:] == (1, 1)
    tilted = draw_place(
        (64, 64, 64), rng=generators(0, 1)[0], generator=generators(0, 1)[1], tilt=0.2, **options
    )
    assert np.ptp(tilted.index[0][0]) >= 2
    np.testing.assert_array_equal(tilted.index[1], upright.index[1])


def test_a_focus_lies_in_the_middle_slice_and_in_the_middle_of_the_picture() -> None:
    array = np.zeros((64, 72, 60), dtype=np.uint8)
    focus = (40, 20, 33)
    array[tuple(slice(n - 1, n + 2) for n in focus)] = 1
    for number in range(40):
        rng, generator = generators(0, number)
        place = draw_place(
            array.shape, slices=3, size=48, rng=rng, generator=generator, tilt=0.12, focus=focus
        )
        shown = take(array, place.index).reshape(3, place.subslices, 48, 48)[1].max(axis=0)
        rows, columns = np.nonzero(shown)
        assert len(rows) > 0
        assert 4 < rows.mean() < 44
        assert 4 < columns.mean() < 44


def test_planes_show_slices_as_a_served_model_looks_at_them() -> None:
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    for axis in AXES:
        depth = volume.shape[axis]
        seen = slabs_along(torch.from_numpy(volume)[None, None], axis, range(depth), 1)[:, 0]
        (plane,) = {plane for plane in VIEWED if plane[0] == axis}
        np.testing.assert_array_equal(volume.transpose(plane), seen)
