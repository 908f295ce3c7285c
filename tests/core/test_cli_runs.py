"""The verbs for runs and published models: what they write and print, and their exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medgan_core import cli
from medgan_core.data.pack import Pack
from medgan_core.registry import Registry
from medgan_core.training import RECIPES
from tests.core.training.tiny import TABLE, Served, Tiny, finished
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, ``one`` with a model to serve and ``two`` without."""
    folder = tmp_path_factory.mktemp("runs")
    finished(Served(size=(4, 3)), data, folder / "one")
    finished(Tiny(), data, folder / "two")
    return folder


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes of the runs are known, and no model is installed but those that a test publishes."""
    for name, recipe in TABLE.items():
        monkeypatch.setitem(RECIPES, name, recipe)
    monkeypatch.setattr("medgan_core.registry.SHIPPED", tmp_path / "none")
    monkeypatch.setenv("MEDGAN_MODELS", str(tmp_path / "models"))


def medgan(*args: object) -> Any:  # typer does not export the type
    return CliRunner().invoke(cli.build(), [str(a) for a in args])


def test_a_run_is_published_listed_and_taken_back(runs: Path) -> None:
    first = medgan("publish", runs / "one", "--name", "toy-denoise")
    assert first.exit_code == 0, first.stderr
    assert "toy-denoise 0.2.0, which is used" in first.stdout
    second = medgan("publish", runs / "one", "--name", "toy-denoise")
    assert "medgan default toy-denoise 0.2.1" in second.stdout
    assert Registry().card("toy-denoise").version == "0.2.0"
    assert medgan("publish", runs / "one", "--name", "toy-denoise", "--yes-default").exit_code == 0
    assert json.loads(medgan("models", "--json").stdout)[0]["version"] == "0.2.2"
    assert medgan("default", "toy-denoise", "0.2.1").exit_code == 0
    assert json.loads(medgan("models", "--json").stdout)[0]["version"] == "0.2.1"


def test_what_cannot_be_published_is_usage_with_what_to_do(runs: Path, tmp_path: Path) -> None:
    bare = medgan("publish", runs / "two", "--name", "toy")
    assert bare.exit_code == 2
    assert "medgan sample" in bare.stderr
    assert medgan("publish", tmp_path, "--name", "toy").exit_code == 2
    assert medgan("publish", runs / "one").exit_code == 2
    assert medgan("default", "toy", "0.2.0").exit_code == 2
    assert not (tmp_path / "models").exists()


def test_a_published_model_is_exported(runs: Path, tmp_path: Path) -> None:
    medgan("publish", runs / "one", "--name", "toy-denoise")
    result = medgan("export", "toy-denoise", "--format", "bundle", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert Path(told["path"]) == tmp_path / "out" / "toy-denoise"
    assert {one["share"] for one in told["agreements"]} == {0.0}
    assert medgan("export", "toy-denoise", "--format", "zip", "--out", tmp_path / "o").exit_code == 2
    assert medgan("export", "nobody", "--format", "bundle", "--out", tmp_path / "o").exit_code == 2


def test_samples_are_drawn(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = medgan("sample", runs / "two", "--count", 2, "--seed", 3, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    names = {f"{n}-00{k}.nii.gz" for n in ("image", "labels") for k in (1, 2)}
    assert {p.name for p in out.iterdir()} == names | {"samples.json", "samples.png"}
    assert str(out / "image-002.nii.gz") in result.stdout.replace("\n", "")
    told = medgan("sample", runs / "two", "--out", tmp_path / "json", "--device", "cpu", "--json")
    assert json.loads(told.stdout) == json.loads((tmp_path / "json" / "samples.json").read_text())


@pytest.mark.parametrize("change", [("--count", "0"), ("--device", "toaster")], ids=" ".join)
def test_wrong_wishes_for_samples_are_usage(runs: Path, tmp_path: Path, change: tuple[str, str]) -> None:
    assert medgan("sample", runs / "two", "--out", tmp_path / "out", *change).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_runs_are_compared(runs: Path, tmp_path: Path) -> None:
    result = medgan("compare", runs / "one", runs / "two", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    assert json.loads(result.stdout) == written["runs"]
    assert [one["recipe"] for one in written["runs"]] == ["served", "tiny"]
    shown = medgan("compare", runs / "one", "--out", tmp_path / "out")
    assert "one" in shown.stdout
    assert medgan("compare", tmp_path / "nothing", "--out", tmp_path / "o").exit_code == 2


def test_data_are_packed_by_set_key_and_split(data: Path, tmp_path: Path) -> None:
    where = ("data", "pack", "--data", data)
    result = medgan(*where, "--out", tmp_path / "all", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["studies"] == len(Pack.load(tmp_path / "all", verify=True).studies) == 5
    chosen = ("--source", "phantom", "--key", "T1", "--key", "T2", "--split", "val")
    assert medgan(*where, "--out", tmp_path / "some", *chosen).exit_code == 0
    (study,) = Pack.load(tmp_path / "some").studies
    assert (study.split, sorted(study.images)) == ("val", ["T1", "T2"])
    assert medgan(*where, "--out", tmp_path / "none", "--split", "nobody").exit_code == 2
    assert not (tmp_path / "none").exists()


def test_help_names_every_verb() -> None:
    said = medgan("--help").stdout
    for verb in ("sample", "compare", "publish", "default", "export", "data"):
        assert f" {verb} " in said
