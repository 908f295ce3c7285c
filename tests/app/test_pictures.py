"""Slices of volumes as pictures."""

from __future__ import annotations

import struct
import zlib
from itertools import permutations, product

import numpy as np
import pytest

from medgan_core.volume import Geometry, Volume
from monailabel_app.jobs.pictures import grey, middle_slice, png


def head() -> Volume:
    """On a RAS grid of 1 x 1 x 2 mm: a bright spot at the right, a brighter one in front."""
    data = np.zeros((40, 60, 11), np.float32)
    data[30:36, 28:32, 5] = 1.0
    data[18:22, 50:58, 5] = 2.0
    return Volume(data, Geometry(data.shape, np.diag([1.0, 1.0, 2.0, 1.0])))


def test_the_patients_right_is_at_the_left_and_anterior_is_up() -> None:
    image = middle_slice(head())
    assert image.shape == (192, 128)
    rows, columns = np.nonzero(image > 1.5)
    assert rows.mean() < 192 * 0.2
    assert abs(columns.mean() - 64) < 4
    rows, columns = np.nonzero((image > 0.5) & (image < 1.05))
    assert np.median(columns) < 128 * 0.3
    assert abs(np.median(rows) - 96) < 8


@pytest.mark.parametrize("order", permutations(range(3)))
def test_a_picture_does_not_depend_on_the_order_of_the_voxels(order: tuple[int, int, int]) -> None:
    first = head()
    for flips in product((False, True), repeat=3):
        data, affine = first.data[0].transpose(order), first.geometry.affine[:, [*order, 3]].copy()
        for axis in np.flatnonzero(flips):
            affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
            affine[:3, axis] *= -1
            data = np.flip(data, axis)
        assert np.allclose(middle_slice(Volume(data, Geometry(data.shape, affine))), middle_slice(first))


def test_a_png_file_holds_the_levels() -> None:
    levels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    file = png(levels)
    assert struct.unpack(">II", file[16:24]) == (7, 5)
    begin = file.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", file[begin - 8 : begin - 4])
    lines = np.frombuffer(zlib.decompress(file[begin : begin + length]), np.uint8).reshape(5, 8)
    assert np.array_equal(lines[:, 1:], levels)
    assert not lines[:, 0].any()


def test_an_even_image_has_a_grey_level() -> None:
    assert np.array_equal(grey(np.full((3, 3), 7.0)), np.zeros((3, 3)))
