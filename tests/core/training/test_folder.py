"""A run's folder read again: recipe, weights, numbers; and what is said when they no longer fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, folder
from tests.core.training.tiny import TABLE, Served, Tiny, finished
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    return finished(Served(size=(4, 3), seed=5, lr=1e-3), data, tmp_path / "run")


def change(run: Path, **settings: object) -> None:
    file = run / "recipe.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")


def test_the_recipe_comes_back_as_it_was(run: Path) -> None:
    assert folder.rebuilt(run, TABLE) == Served(size=(4, 3), seed=5, lr=1e-3)


def test_settings_that_came_later_have_their_default(run: Path) -> None:
    plain = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    del plain["ema"]
    (run / "recipe.json").write_text(json.dumps(plain), encoding="utf-8")
    assert folder.rebuilt(run, TABLE).ema == Served().ema


@pytest.mark.parametrize(
    ("settings", "names"),
    [({"colour": 1}, "colour"), ({"lr": "fast"}, "lr|float"), ({"recipe": "gone"}, "gone")],
)
def test_what_is_no_longer_there_is_named_with_the_version_that_made_it(
    run: Path, settings: dict[str, object], names: str
) -> None:
    change(run, version="0.0.7", **settings)
    with pytest.raises(UsageError, match=names) as caught:
        folder.rebuilt(run, TABLE)
    assert "0.0.7" in caught.value.action


def test_the_weights_are_the_averaged_ones_and_do_not_touch_random_numbers(run: Path) -> None:
    before = torch.random.get_rng_state()
    modules = folder.trained(run, folder.rebuilt(run, TABLE))
    torch.testing.assert_close(torch.random.get_rng_state(), before, rtol=0, atol=0)
    kept = folder.networks(run)
    assert modules.keys() == kept.keys() == folder.hashes(run).keys()
    for name, module in modules.items():
        torch.testing.assert_close(dict(module.state_dict()), kept[name], rtol=0, atol=0)
        assert not module.training


def test_weights_of_another_size_or_missing_ones_are_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="do not fit"):
        folder.trained(run, Served(size=(5, 3)))
    (run / "networks" / "denoise.safetensors").unlink()
    with pytest.raises(UsageError, match="denoise"):
        folder.trained(run, folder.rebuilt(run, TABLE))


def test_an_unfinished_run_has_no_networks_to_use(run: Path) -> None:
    (run / "done.json").unlink()
    assert not folder.is_done(run)
    with pytest.raises(UsageError, match="not finished"):
        folder.trained(run, folder.rebuilt(run, TABLE))


def test_a_line_that_is_being_written_is_left_out(run: Path) -> None:
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"kind": "validation", "st')
    assert [line["step"] for line in folder.metrics(run, "validation")] == [1, 2]


def test_every_shipped_recipe_comes_back(tmp_path: Path) -> None:
    import dataclasses

    for name, cls in RECIPES.items():
        recipe = cls(seed=3)
        plain = {"recipe": name, "version": "1", **dataclasses.asdict(recipe)}
        (tmp_path / "recipe.json").write_text(json.dumps(plain), encoding="utf-8")
        assert folder.rebuilt(tmp_path, RECIPES) == recipe


def test_another_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run in this folder"):
        folder.rebuilt(tmp_path, {"tiny": Tiny})
