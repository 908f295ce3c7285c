from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medgan_core.data.training_set import open_training_set
from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, folder, loop
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.sources import head_maps
from tests.brains import write_heads

SIMULATED = (
    *("brain-mr-translate", "mr-denoise", "brain-suggest", "lesion-suggest"),
    *("brain-mr-gate", "brain-mr-synthesize"),
)
"""Recipes that learn on heads simulated from label maps."""


def without(data: Path, words: str) -> Path:
    """The data without the rows that hold these words."""
    file = data / "manifest.csv"
    rows = [row for row in file.read_text(encoding="utf-8").splitlines() if words not in row]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return data


def test_a_manifest_without_coverage_lists_heads(tmp_path: Path) -> None:
    file = write_heads(tmp_path) / "manifest.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",head,", ",,"), encoding="utf-8")
    held = open_training_set(tmp_path)
    assert len(head_maps(held, validation=True)) == len(head_maps(held, validation=False)) == 1


def refused(recipe: Recipe, data: Path, out: Path) -> UsageError:
    """Why a training of the recipe is not begun."""
    with pytest.raises(UsageError) as caught:
        loop.train(recipe, data=data, out=out, command="none", workers=0)
    assert folder.metrics(out) == []
    return caught.value


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", SIMULATED)
def test_a_head_s_label_map_must_be_listed_to_train_and_to_validate_on(
    name: str, split: str, tmp_path: Path
) -> None:
    data = without(write_heads(tmp_path), f"maps/{split}")
    error = refused(RECIPES[name](updates=1, batch=1, validate_every=1), data, tmp_path / "run")
    assert error.expected.endswith(f"a label map `labels`, listed as {split}")
    assert error.got == "1 of another split"
    assert "SynthSeg" in error.action


@pytest.mark.parametrize("name", SIMULATED)
def test_scans_without_any_label_map_are_refused(name: str, tmp_path: Path) -> None:
    data = without(write_heads(tmp_path), "maps/")
    error = refused(RECIPES[name](updates=1, batch=1, validate_every=1), data, tmp_path / "run")
    assert error.got == "none"


@pytest.mark.parametrize(
    "settings", [{"name": "brain-mr-synthesize"}, {"name": "mr-denoise", "real_share": 0.5}]
)
def test_label_maps_without_any_scan_are_refused_where_scans_are_learned_from(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    data = without(write_heads(tmp_path), ",image,")
    recipe = RECIPES[settings.pop("name")](updates=1, batch=1, validate_every=1, **settings)
    error = refused(recipe, data, tmp_path / "run")
    assert "two of T1, T1post" in error.expected
    assert error.got == "none among 4 studies"
