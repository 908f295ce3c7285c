"""The recipes on whole brains train from a pack as they do from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgan_core.data.files import FileSet
from medgan_core.data.manifest import Manifest
from medgan_core.data.pack import pack
from medgan_core.training import loop
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.gate import Gate
from medgan_core.training.recipes.translate import Translate
from tests.phantom import write_data_set

RECIPES: tuple[Recipe, ...] = (
    Translate(updates=2, batch=2, size=32, widths=(8, 16), real_share=0.5),
    Denoise(updates=2, batch=2, size=32, widths=(8, 16), real_share=0.5),
    Gate(updates=2, batch=2),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def packed(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pack")
    pack(FileSet(Manifest.load(files)), out)
    return out


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_pack_gives_the_samples_of_its_files_and_trains(
    recipe: Recipe, files: Path, packed: Path, tmp_path: Path
) -> None:
    for validation in (False, True):
        ours, theirs = (recipe.samples(place, validation=validation) for place in (packed, files))
        for number in range(6):
            for key, value in theirs[number].items():
                assert torch.equal(ours[number][key], value), key
    assert loop.train(recipe, data=packed, out=tmp_path / "run", command="none", workers=0)
