from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medgan_core import training
from medgan_core.errors import CancelledError, UsageError
from medgan_core.registry import Registry
from medgan_core.training.recipe import configure
from medgan_core.training.recipes.translate import INPUTS, TARGETS, Translate
from medgan_core.training.run import schedule
from medgan_core.training.state import State
from tests.phantom import write_data_set

TINY = {"updates": "3", "batch": "2", "warmup": "1"}
SMALL: dict[str, dict[str, str]] = {
    "brain-mr-translate": {"size": "32", "widths": "8,16", "real_share": "0.5"},
    "mr-denoise": {"size": "32", "widths": "8,16", "real_share": "0.5"},
    "brain-mr-gate": {},
}


def tensors(run: Path) -> dict[str, object]:
    """All tensors of a run's state by their paths, and its step."""
    state = State.load(run)
    assert state is not None
    flat: dict[str, object] = {"step": state.tree["counters"]["step"]}

    def walk(tree: object, path: str) -> None:
        if isinstance(tree, torch.Tensor):
            flat[path] = tree
        elif isinstance(tree, dict):
            for key, value in tree.items():
                walk(value, f"{path}/{key}")

    walk(state.tree, "")
    return flat


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_every_served_brain_recipe_trains_and_leaves_a_model_that_loads(
    recipe: str, data: Path, tmp_path: Path
) -> None:
    said = training.train(
        recipe, data=data, out=tmp_path / "run", settings=TINY | SMALL[recipe], preset="cpu", workers=0
    )
    assert "the model is in" in said
    model = Registry([tmp_path / "run" / "models"]).load(recipe)
    assert model.card.training.updates == 3
    assert model.card.training.recipe == recipe
    resolved = json.loads((tmp_path / "run" / "recipe.json").read_text(encoding="utf-8"))
    assert resolved["batch"] == 2


def test_stopping_and_resuming_gives_what_not_stopping_gives(data: Path, tmp_path: Path) -> None:
    settings = TINY | SMALL["mr-denoise"]
    training.train(
        "mr-denoise", data=data, out=tmp_path / "whole", settings=settings, preset="cpu", workers=0
    )
    calls = 0

    def cancel() -> bool:
        nonlocal calls
        calls += 1
        return calls == 3

    with pytest.raises(CancelledError):
        training.train(
            "mr-denoise",
            data=data,
            out=tmp_path / "cut",
            settings=settings,
            preset="cpu",
            workers=0,
            cancel=cancel,
        )
    assert tensors(tmp_path / "cut")["step"] < 3
    training.train(
        "mr-denoise", data=data, out=tmp_path / "cut", settings=settings, preset="cpu", workers=0, resume=True
    )
    whole, cut = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert whole.pop("step") == cut.pop("step") == 3
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


def test_a_run_is_not_overwritten_and_other_settings_do_not_go_on_with_it(data: Path, tmp_path: Path) -> None:
    settings = TINY | SMALL["mr-denoise"]
    training.train("mr-denoise", data=data, out=tmp_path, settings=settings, preset="cpu", workers=0)
    with pytest.raises(UsageError, match="holds a run"):
        training.train("mr-denoise", data=data, out=tmp_path, settings=settings, preset="cpu", workers=0)
    with pytest.raises(UsageError, match="lr"):
        training.train(
            "mr-denoise",
            data=data,
            out=tmp_path,
            settings=settings | {"lr": "1"},
            preset="cpu",
            workers=0,
            resume=True,
        )


def test_fine_tuning_starts_from_the_earlier_model(data: Path, tmp_path: Path) -> None:
    settings = TINY | SMALL["mr-denoise"]
    training.train(
        "mr-denoise", data=data, out=tmp_path / "first", settings=settings, preset="cpu", workers=0
    )
    tuned = settings | {"init": str(tmp_path / "first"), "lr": "0", "fold": "1"}
    training.train("mr-denoise", data=data, out=tmp_path / "second", settings=tuned, preset="cpu", workers=0)
    first, second = (Registry([tmp_path / r / "models"]).load("mr-denoise") for r in ("first", "second"))
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "settings",
    [
        *({"colour": "1"}, {"batch": "many"}, {"lr": "fast"}),
        *({"lr": "nan"}, {"lr": "-1"}, {"batch": "0"}, {"updates": "-5"}, {"seed": "-1"}, {"ema": "inf"}),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        configure(Translate, settings)


def test_a_dry_run_prints_the_resolved_recipe(data: Path, tmp_path: Path) -> None:
    text = training.train(
        "brain-mr-translate", data=data, out=tmp_path, settings={"widths": "8,16"}, dry_run=True
    )
    assert json.loads(text)["widths"] == [8, 16]
    assert not list(tmp_path.iterdir())


def test_the_schedule_rises_then_falls() -> None:
    recipe = Translate(updates=1000, warmup=100)
    values = [schedule(recipe, step) for step in range(1000)]
    assert values.index(max(values)) == 99
    assert values[-1] == pytest.approx(0.01, abs=1e-4)
    assert all(a <= b for a, b in itertools.pairwise(values[:100]))
    assert all(a >= b for a, b in itertools.pairwise(values[100:]))


def test_hidden_contrasts_are_the_ones_to_predict(data: Path) -> None:
    samples = configure(Translate, {"size": "32", "real_share": "1"}).samples(data, validation=False)
    contrasts, slices = len(INPUTS), 3
    for number in range(12):
        sample = samples[number]
        present = sample["input"][contrasts * slices :].amax(dim=(1, 2)).bool().tolist()
        assert any(present)
        for n, target in enumerate(TARGETS):
            wanted = bool(sample["weight"][n].any())
            assert not (wanted and present[INPUTS.index(target)])
        images = sample["input"][: contrasts * slices].unflatten(0, (contrasts, slices))
        assert all(p or not image.any() for p, image in zip(present, images, strict=True))


def test_the_gpu_preset_is_larger_and_settings_by_hand_win(data: Path, tmp_path: Path) -> None:
    def resolved(preset: str, **settings: str) -> dict[str, object]:
        text = training.train(
            "brain-mr-translate", data=data, out=tmp_path, settings=settings, preset=preset, dry_run=True
        )
        return dict(json.loads(text))

    assert resolved("gpu")["updates"] > resolved("cpu")["updates"]  # type: ignore[operator]
    assert resolved("gpu", updates="7")["updates"] == 7
    with pytest.raises(UsageError, match="preset"):
        resolved("tpu")


def test_a_worker_process_prepares_the_same_samples(data: Path, tmp_path: Path) -> None:
    settings = TINY | SMALL["mr-denoise"]
    training.train("mr-denoise", data=data, out=tmp_path / "none", settings=settings, preset="cpu", workers=0)
    # A process of its own, as on the command line: workers are forked from it.
    command = [sys.executable, "-c", "import sys; from medgan_core.cli import main; sys.exit(main())"]
    command += ["train", "mr-denoise", "--data", str(data), "--out", str(tmp_path / "one"), "--preset", "cpu"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    subprocess.run([*command, "--workers", "1"], check=True, capture_output=True, timeout=300)
    torch.testing.assert_close(tensors(tmp_path / "one"), tensors(tmp_path / "none"), rtol=0, atol=0)
