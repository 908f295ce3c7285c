"""Volumes, mirroring, outliers and agreement of label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medgan_core.errors import InputError
from medgan_core.label_checks import (
    label_map,
    mirrored_beside_image,
    mirrored_beside_labels,
    outlying,
    overlaps,
    volumes_ml,
)
from medgan_core.volume import Geometry, Volume

SHAPE = (40, 36, 20)


def organs() -> NDArray[Any]:
    """Two labels, away from the middle along every axis."""
    labels = np.zeros(SHAPE, np.int64)
    labels[4:14, 5:15, 3:9] = 1
    labels[14:20, 5:11, 3:9] = 2
    return labels


def image_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Each label has an intensity of its own; noise."""
    means = np.array([100.0, 180.0, 140.0])
    return np.asarray(means[labels] + np.random.default_rng(0).normal(0, 20, labels.shape))


def volume(data: NDArray[Any]) -> Volume:
    return Volume(data, Geometry(SHAPE, np.diag([1.0, 2.0, 5.0, 1.0])))


def test_a_label_map_is_whole_numbers_of_one_channel() -> None:
    labels = organs()
    assert np.array_equal(label_map(volume(labels.astype(np.float32))), labels)
    for wrong in (labels + 0.5, np.where(labels, np.nan, 0.0), np.stack([labels, labels])):
        with pytest.raises(InputError):
            label_map(volume(wrong))


def test_volumes_are_in_millilitres() -> None:
    assert volumes_ml(organs(), (1.0, 2.0, 5.0)) == pytest.approx({1: 6.0, 2: 2.16})
    assert volumes_ml(np.zeros(SHAPE, np.int64), (1.0, 1.0, 1.0)) == {}


def test_overlap_of_each_label() -> None:
    labels, other = organs(), organs()
    other[other == 2] = 3
    assert overlaps(labels, labels) == {1: 1.0, 2: 1.0}
    assert overlaps(labels, other) == {1: 1.0, 2: 0.0, 3: 0.0}


@pytest.mark.parametrize(
    ("axes", "words"), [((0,), "i"), ((1,), "j"), ((2,), "k"), ((0, 1), "i and j"), ((), None)]
)
def test_a_mirrored_label_is_found_beside_its_image_and_beside_another(
    axes: tuple[int, ...], words: str | None
) -> None:
    labels = organs()
    submitted = np.flip(labels, axes)
    assert mirrored_beside_image(submitted, image_of(labels)) == words
    assert mirrored_beside_labels(submitted, labels) == words


def test_nothing_is_said_of_what_does_not_tell() -> None:
    noise = np.random.default_rng(1).normal(size=SHAPE)
    symmetric = np.zeros(SHAPE, np.int64)
    symmetric[10:30, 10:26, 5:15] = 1
    assert mirrored_beside_image(organs(), noise) is None
    assert mirrored_beside_image(organs(), np.full(SHAPE, 7)) is None
    assert mirrored_beside_image(symmetric, image_of(symmetric)) is None
    assert mirrored_beside_image(np.zeros(SHAPE, np.int64), noise) is None
    assert mirrored_beside_labels(np.zeros(SHAPE, np.int64), organs()) is None


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        mirrored_beside_image(organs(), np.zeros((3, 3, 3)))


def test_an_outlier_lies_far_from_the_median_of_the_others() -> None:
    usual = {f"p{n}": 3.0 * 1.1**n for n in range(-3, 4)}
    found = outlying({**usual, "large": 30.0, "small": 0.3})
    assert {name for name, one in found.items() if abs(one.score) > 3.5} == {"large", "small"}
    assert found["large"].score > 0 > found["small"].score
    assert found["p0"].median == pytest.approx(3.0)
    # The definition, with natural logarithms: 0.6745 (x - median) / MAD.
    logs = np.log([*usual.values(), 30.0, 0.3])
    spread = np.median(np.abs(logs - np.log(3.0)))
    assert found["large"].score == pytest.approx(0.6745 * np.log(10) / spread)


def test_four_volumes_are_too_few_and_equal_ones_have_no_outliers() -> None:
    assert outlying({str(n): 1.0 + n for n in range(4)}) == {}
    assert max(abs(one.score) for one in outlying({str(n): 1 + n / 100 for n in range(6)}).values()) < 1
