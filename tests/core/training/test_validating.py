from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medgan_core import cli
from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, folder, loop
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.ae import AE
from medgan_core.training.recipes.crops import crop_images
from medgan_core.training.recipes.reconstruction import JUDGED
from medgan_core.training.recipes.suggesting import Suggesting
from medgan_core.training.validating import validate
from tests.brains import write_heads
from tests.core.training.tiny import TABLE, Tiny, finished
from tests.crops import write_crops

SUGGESTING = [name for name, recipe in RECIPES.items() if issubclass(recipe, Suggesting)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "ae"
    recipe = AE(updates=2, batch=2, validate_every=2, widths=(4, 4, 4, 4), latent=4)
    assert loop.train(recipe, data=data, out=out, command="none", workers=0)
    return out


def test_every_sample_of_the_patients_left_out_is_looked_at(run: Path, data: Path) -> None:
    count = len(crop_images(data, spatial_dims=2, seed=0, validation=True))
    found = validate(run, data=data, device="cpu")
    assert found.samples >= count
    assert found.windows == -(-count // JUDGED)
    assert set(found.numbers) == set(found.spread) == {"psnr", "ssim", "psnr_mean", "ssim_mean"}


def test_the_first_window_is_the_validation_of_the_training(run: Path, data: Path) -> None:
    opened = Finished.open(run, device="cpu")
    found = opened.recipe.validate(
        opened.networks, crop_images(data, spatial_dims=2, seed=0, validation=True), opened.moment(0)
    )
    (line,) = folder.metrics(run, "validation")
    assert found.numbers["psnr"] == pytest.approx(line["psnr"], abs=1e-3)


def test_the_command_prints_it_and_a_run_has_no_split(run: Path, data: Path) -> None:
    words = ["evaluate", str(run), "--data", str(data)]
    told = json.loads(CliRunner().invoke(cli.build(), [*words, "--json"]).stdout)
    assert told["recipe"] == "ae"
    assert told["numbers"]["psnr"] > 0
    assert "psnr" in CliRunner().invoke(cli.build(), words).stdout
    refused = CliRunner().invoke(cli.build(), [*words, "--split", "val"])
    assert refused.exit_code == UsageError.exit_status


def test_samples_without_an_end_are_looked_at_once(data: Path, tmp_path: Path) -> None:
    place = finished(Tiny(), data, tmp_path / "tiny")
    assert validate(place, data=data, device="cpu", recipes=TABLE).windows == 1


@pytest.mark.parametrize("name", SUGGESTING)
def test_a_suggestion_is_judged_on_all_samples_at_once(name: str, data: Path, tmp_path: Path) -> None:
    if name != "hippocampus-suggest":
        data = write_heads(tmp_path)
    recipe = RECIPES[name](updates=1, batch=1, validate_every=1, widths=(8, 8), slices=3)  # type: ignore[call-arg]
    place = finished(recipe, data, tmp_path / "run")
    found = validate(place, data=data, device="cpu")
    (line,) = folder.metrics(place, "validation")
    assert (found.windows, found.samples) == (1, line["cases"])
    assert found.numbers["dice"] == pytest.approx(line["dice"], abs=1e-3)
    assert not found.spread
