"""Trainings on one's own data: what is refused, and what a run and its card say of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medgan_core import cli, io
from medgan_core.card import ModelCard
from medgan_core.data.pack import pack
from medgan_core.data.training_set import open_training_set
from medgan_core.errors import InputError, MedganError, ModelError, UsageError
from medgan_core.training import RECIPES, folder, loop, publishing, sampling
from medgan_core.training.recipe import Recipe, configure
from medgan_core.training.recipes.dcgan import DCGAN
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.segmentation import Segmentation
from medgan_core.training.recipes.spade import Spade
from medgan_core.training.validating import validate
from tests.crops import write_crops

TINY = HippocampusSuggest(updates=3, validate_every=2, batch=1, widths=(8, 8), places=1, warmup=1)
IMAGES = DCGAN(updates=1, validate_every=9, batch=2, widths=(4, 4, 4, 4), latent=4)


def train(recipe: Recipe, data: Path, out: Path, *, resume: bool = False, cut: bool = False) -> bool:
    return loop.train(
        recipe,
        data=data,
        out=out,
        command="none",
        workers=0,
        resume=resume,
        cancel=_second() if cut else None,
    )


def _second():  # type: ignore[no-untyped-def]
    asked = iter((False, False))
    return lambda: next(asked, True)


def rewritten(data: Path, change: dict[str, str]) -> Path:
    """The manifest with other words."""
    file = data / "manifest.csv"
    rows = [[change.get(cell, cell) for cell in row] for row in csv.reader(file.open())]
    file.write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    return data


def begun(recipe: Recipe, data: Path, out: Path) -> None:
    """A run that was stopped after its first update or so."""
    with pytest.raises(MedganError):
        train(recipe, data, out, cut=True)
    assert (out / "state.json").is_file()


def test_a_run_goes_on_with_its_own_data_alone(tmp_path: Path) -> None:
    data, run = write_crops(tmp_path / "data"), tmp_path / "run"
    begun(TINY, data, run)
    record = (run / "data.json").read_text()
    swapped = rewritten(write_crops(tmp_path / "swapped"), {"train": "val", "val": "train"})
    with pytest.raises(UsageError, match="begun on other data"):
        train(TINY, swapped, run, resume=True)
    assert (run / "data.json").read_text() == record


def test_where_the_data_lie_and_whether_they_are_packed_is_no_matter(tmp_path: Path) -> None:
    data, run = write_crops(tmp_path / "data"), tmp_path / "run"
    begun(TINY, data, run)
    pack(open_training_set(data), tmp_path / "pack")  # type: ignore[arg-type]
    assert train(TINY, tmp_path / "pack", run, resume=True)
    assert len(folder.read(run) or ()) == 5


def test_a_training_that_never_began_leaves_its_folder_free(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="no manifest"):
        train(TINY, tmp_path / "nowhere", run)
    assert not folder.is_run(run)
    data = rewritten(write_crops(tmp_path / "data"), {"val": "train"})
    with pytest.raises(UsageError, match="to validate"):
        train(TINY, data, run)
    assert train(TINY, write_crops(tmp_path / "good"), run)
    with pytest.raises(UsageError, match="holds a run"):
        train(TINY, tmp_path / "good", run)


def test_the_weights_that_are_served_are_validated(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(TINY, write_crops(tmp_path / "data"), run)
    assert [line["step"] for line in folder.metrics(run, "validation")] == [2, 3]
    card, _ = publishing.publish(run, name="mine", models=tmp_path / "models")
    assert card.volume_calibration
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    assert json.loads(lines[-1])["step"] == 3
    older, _ = publishing.publish(run, name="older", models=tmp_path / "models")
    assert (older.figures, older.volume_calibration) == ((), ())


def test_a_shorter_run_than_asks_for_validation_needs_nobody_to_be_validated_on(tmp_path: Path) -> None:
    data = rewritten(write_crops(tmp_path / "data"), {"val": "train"})
    assert train(replace(TINY, validate_every=9), data, tmp_path / "run")


def test_a_card_says_nothing_of_sets_that_were_not_read(tmp_path: Path) -> None:
    for name, change in (("mine", {}), ("known", {"crops": "msd-hippocampus"})):
        data = rewritten(write_crops(tmp_path / f"{name}-data"), change)
        train(TINY, data, tmp_path / name)
    mine, known = (
        ModelCard.load(tmp_path / name / "models" / TINY.name / "card.json") for name in ("mine", "known")
    )
    assert (mine.licence, known.licence) == ("CC0", "CC BY-SA 4.0")
    assert not any("psychotic" in limit for limit in mine.limits)
    assert any(limit.startswith("Trained on crops;") for limit in mine.limits)
    assert any("psychotic" in limit for limit in known.limits)


@pytest.mark.parametrize("recipe", [TINY, Segmentation(updates=1), Spade(updates=1)])
def test_labels_that_are_not_learned_are_refused_and_their_patient_named(
    recipe: Recipe, tmp_path: Path
) -> None:
    data = write_crops(tmp_path / "data")
    labels = io.read(data / "c1-labels.nii.gz")
    io.write(labels.with_data(labels.data * 5), data / "c1-labels.nii.gz")
    with pytest.raises(InputError, match=r"crops/c1 .*Got: 5, 10"):
        train(recipe, data, tmp_path / "run")


def test_images_alone_are_learned_whatever_the_labels(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    labels = io.read(data / "c1-labels.nii.gz")
    io.write(labels.with_data(labels.data * 5), data / "c1-labels.nii.gz")
    assert train(IMAGES, data, tmp_path / "run")


def test_an_evaluation_names_whom_the_run_had_trained_on(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    train(TINY, data, tmp_path / "run")
    assert validate(tmp_path / "run", data=data, device="cpu").trained_on == ()
    swapped = rewritten(write_crops(tmp_path / "swapped"), {"train": "val", "val": "train"})
    found = validate(tmp_path / "run", data=swapped, device="cpu")
    assert found.trained_on == tuple(f"crops/c{n}" for n in range(5))
    words = ["evaluate", str(tmp_path / "run"), "--data", str(swapped)]
    assert "trained on 5 of these patients" in CliRunner().invoke(cli.build(), words).output


def test_an_image_without_contrast_is_refused(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    image = io.read(data / "c1-T1.nii.gz")
    io.write(image.with_data(image.data * 0), data / "c1-T1.nii.gz")
    with pytest.raises(InputError, match=r"T1 of crops/c1 is constant"):
        train(TINY, data, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sngan", {"schedule": "lineer"}),
        ("sngan", {"objective": "hing"}),
        ("sngan", {"latent": "-3"}),
        ("sngan", {"widths": "0,0,0,0"}),
    ],
)
def test_settings_that_are_none_are_refused(name: str, settings: dict[str, str]) -> None:
    (key,) = settings
    with pytest.raises(UsageError, match=key):
        configure(RECIPES[name], settings)


def test_weights_of_other_networks_are_no_beginning(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    train(IMAGES, data, tmp_path / "first")
    other = replace(IMAGES, init=str(tmp_path / "first"), latent=8)
    with pytest.raises(UsageError, match="do not fit"):
        train(other, data, tmp_path / "second")


def test_damaged_tensors_are_named(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    begun(TINY, data, tmp_path / "cut")
    train(IMAGES, data, tmp_path / "whole")
    part = next((tmp_path / "cut").glob("state-*/part-0.safetensors"))
    weights = tmp_path / "whole" / "networks" / "generator.safetensors"
    for file in (part, weights):
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ModelError, match=r"part-0\.safetensors"):
        train(TINY, data, tmp_path / "cut", resume=True)
    with pytest.raises(ModelError, match=r"generator\.safetensors"):
        sampling.sample(tmp_path / "whole", count=1, out=tmp_path / "out")


def test_a_seed_below_0_is_refused(tmp_path: Path) -> None:
    train(IMAGES, write_crops(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(UsageError, match="seed"):
        sampling.sample(tmp_path / "run", count=1, out=tmp_path / "out", seed=-1)


def test_a_run_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        train(TINY, write_crops(tmp_path / "data"), tmp_path / "run")


def test_two_sets_that_name_one_patient_are_refused(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    text = (data / "manifest.csv").read_text()
    (data / "manifest.csv").write_text(text.replace("crops,crops/c1,,labels", "other,crops/c1,,labels"))
    with pytest.raises(InputError, match="same patient"):
        open_training_set(data)


def test_a_manifest_that_is_no_utf8_says_so(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    text = (data / "manifest.csv").read_text().replace("CC0", "München")
    (data / "manifest.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        open_training_set(data)
