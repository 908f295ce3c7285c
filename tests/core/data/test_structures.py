from __future__ import annotations

import numpy as np
import pytest

from medgan_core.card import label_classes
from medgan_core.data.structures import (
    IN_BRAIN,
    LABELS,
    REGION_CLASS,
    REGION_TISSUE,
    REGIONS,
    SIDES,
    STRUCTURES,
    label_values,
    region_map,
)
from medgan_core.errors import ModelError
from medgan_core.physics.simulation import tissue_map


def test_every_structure_has_a_class_and_its_sides_share_it() -> None:
    classes = label_classes(LABELS, SIDES)
    by_value = dict(zip((label.value for label in LABELS), classes, strict=True))
    assert sorted(set(classes)) == list(range(1, 1 + len(STRUCTURES)))
    assert (10, 49) in SIDES
    for left, right in SIDES:
        assert by_value[left] == by_value[right]
    assert len({label.value for label in LABELS}) == len(LABELS) == len(STRUCTURES) + len(SIDES)
    for number, structure in enumerate(STRUCTURES, 1):
        assert by_value[structure.left] == number


def test_a_right_side_needs_its_left_one_before_it() -> None:
    with pytest.raises(ModelError, match="without its left one"):
        label_classes(LABELS[1:], SIDES)


def test_a_map_becomes_regions_with_the_right_class_and_tissue() -> None:
    values = np.array([0, 10, 49, 5, 44, 25, 507, 999, 123])
    regions = region_map(values)
    assert [REGIONS[r] for r in regions] == [0, 10, 10, 5, 5, 25, 507, 507, 3]
    expected = [0, 10, 10, 4, 4, 2, 0, 0, 3]
    found = [STRUCTURES[c - 1].left if c else 0 for c in REGION_CLASS[regions]]
    assert found == expected
    np.testing.assert_array_equal(REGION_TISSUE[regions], tissue_map(values))
    assert IN_BRAIN[regions].tolist() == [False, True, True, True, True, True, False, False, True]


def test_names_and_colours_are_told_apart() -> None:
    assert len({label.name for label in LABELS}) == len(LABELS)
    assert len({structure.colour for structure in STRUCTURES}) == len(STRUCTURES)
    by_value = {label.value: label for label in LABELS}
    assert by_value[53].name == "Right hippocampus"
    assert by_value[53].snomed == by_value[17].snomed == "5366008"


def test_a_map_is_told_in_the_labels_of_a_segmentation() -> None:
    values = np.array([[0, 10, 49], [5, 44, 57], [507, 14, 123]])
    expected = np.array([[0, 10, 49], [4, 43, 41], [0, 14, 3]])
    np.testing.assert_array_equal(label_values(values), expected)
