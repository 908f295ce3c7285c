from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.suggesting import trained
from medgan_core.errors import UsageError
from tests.core.training.toys import Collapsing, Line
from tests.phantom import write_data_set


def test_a_recipe_that_is_not_medgans_is_trained_once_and_opened_again(tmp_path: Path) -> None:
    data, run = write_data_set(tmp_path), tmp_path / "bench" / "line"
    recipe = Line(updates=2, validate_every=2)
    first, again = (trained(recipe, data, run) for _ in range(2))
    assert first.recipe == again.recipe == recipe
    one, other = (found.networks.exact("model").weight for found in (first, again))
    assert torch.equal(one, other)
    for other_recipe in (Line(updates=3, validate_every=3), Collapsing(updates=2)):
        with pytest.raises(UsageError):
            trained(other_recipe, data, run)
