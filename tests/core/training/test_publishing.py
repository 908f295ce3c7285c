"""From a run to a model of the server: versions, the one in use, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from medgan_core import registry
from medgan_core.errors import ModelError, ResourceError, UsageError
from medgan_core.registry import Registry
from medgan_core.training import publishing
from tests.core.training.tiny import Served, Tiny, finished
from tests.phantom import write_data_set

NAME = "knee-mr-denoise"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(Served(size=(4, 3)), data, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def publish(run: Path, models: Path, version: str | None = None, *, default: bool = False) -> str:
    card, _ = publishing.publish(run, name=NAME, version=version, default=default, models=models)
    return card.version


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_published_run_is_a_model_with_its_training_on_the_card(run: Path, models: Path) -> None:
    card, used = publishing.publish(run, name=NAME, models=models)
    assert used
    found = Registry([models])
    assert found.names() == [NAME]
    model = found.load(NAME)
    assert model.card == card
    assert (card.name, card.version, card.training.recipe) == (NAME, "0.2.0", "served")
    trained = Registry([run / "models"]).load("served")
    torch.testing.assert_close(model.network.state_dict(), trained.network.state_dict(), rtol=0, atol=0)
    assert card.weights.sha256 == registry.sha256(models / NAME / "0.2.0" / card.weights.file)
    assert sorted(files(models)) == [
        f"{NAME}/0.2.0/card.json",
        f"{NAME}/0.2.0/weights.safetensors",
        f"{NAME}/default.txt",
    ]


def test_the_environment_says_where_models_are(
    run: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDGAN_MODELS", str(models))
    publishing.publish(run, name=NAME)
    assert Registry().card(NAME).version == "0.2.0"


def test_a_later_version_is_used_when_that_is_asked_for_and_one_can_go_back(run: Path, models: Path) -> None:
    def used() -> str:
        return Registry([models]).load(NAME).card.version

    assert publish(run, models) == "0.2.0"
    assert (publish(run, models), used()) == ("0.2.1", "0.2.0")
    assert (publish(run, models, default=True), used()) == ("0.2.2", "0.2.2")
    publishing.use(NAME, "0.2.1", models=models)
    assert used() == "0.2.1"
    with pytest.raises(UsageError, match=r"0\.2\.0, 0\.2\.1, 0\.2\.2"):
        publishing.use(NAME, "0.3.0", models=models)
    with pytest.raises(UsageError, match="publish"):
        publishing.use("nobody", "0.2.0", models=models)
    assert used() == "0.2.1"


def test_versions_are_numbers_not_words(run: Path, models: Path) -> None:
    for version in ("0.9.9", "0.10.2"):
        publish(run, models, version)
    assert publish(run, models) == "0.10.3"
    assert publishing.versions(models / NAME) == ["0.9.9", "0.10.2", "0.10.3"]


def test_a_version_is_never_written_again(run: Path, models: Path) -> None:
    publish(run, models, "1.0.0")
    before = files(models)
    with pytest.raises(UsageError, match="published already"):
        publish(run, models, "1.0.0", default=True)
    assert files(models) == before


def test_a_shipped_model_of_that_name_counts(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing.publish(run, name=NAME, version="3.2.1", models=tmp_path / "shipped")
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(UsageError, match="published already"):
        publish(run, tmp_path / "models", "3.2.1")
    assert publish(run, tmp_path / "models") == "3.2.2"


def test_a_shipped_model_stays_in_use_and_one_can_go_back_to_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, models = tmp_path / "shipped", tmp_path / "models"
    card, _ = publishing.publish(run, name=NAME, version="3.2.1", models=shipped)
    monkeypatch.setattr(registry, "SHIPPED", shipped)
    shelf = Registry([shipped, models])
    _, used = publishing.publish(run, name=NAME, models=models)
    assert not used
    assert shelf.card(NAME) == card
    _, used = publishing.publish(run, name=NAME, default=True, models=models)
    assert (used, shelf.card(NAME).version) == (True, "3.2.3")
    publishing.use(NAME, "3.2.1", models=models)
    assert shelf.load(NAME).card == card


@pytest.mark.parametrize("name", ["", "Knee", "knee_mr", "../knee", "knee/mr", ".knee", "knee--mr"])
def test_a_name_that_is_no_folder_of_models_is_refused(run: Path, models: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        publishing.publish(run, name=name, models=models)
    assert not models.exists()


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "../1.0.0", "01.0.0", ""])
def test_a_version_that_is_none_is_refused(run: Path, models: Path, version: str) -> None:
    with pytest.raises(UsageError, match="version"):
        publish(run, models, version)
    assert not models.exists()


def test_a_recipe_without_a_card_is_refused_with_what_to_do(data: Path, models: Path, tmp_path: Path) -> None:
    run = finished(Tiny(), data, tmp_path / "run")
    with pytest.raises(UsageError, match="medgan sample") as caught:
        publish(run, models)
    assert "card" in caught.value.action
    assert not models.exists()


def test_an_unfinished_run_is_refused(run: Path, models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "done.json").unlink()
    with pytest.raises(UsageError, match="not finished"):
        publish(copy, models)


def test_a_folder_without_a_run_is_said_to_be_one(models: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no run in this folder"):
        publishing.publish(tmp_path / "nothere", name=NAME, models=models)


def test_damaged_weights_are_refused_and_leave_nothing(run: Path, models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    weights = copy / "models" / "served" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ModelError, match="weights"):
        publish(copy, models)
    assert not models.exists()


def test_what_fails_in_the_middle_leaves_what_was_there(
    run: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(run, models)
    before = files(models)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ResourceError, match="No space"):
        publish(run, models)
    assert files(models) == before
    assert [p.name for p in models.iterdir()] == [NAME]


def test_a_damaged_version_does_not_come_into_use(run: Path, models: Path) -> None:
    publish(run, models)
    publish(run, models)
    (models / NAME / "0.2.1" / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="weights"):
        publishing.use(NAME, "0.2.1", models=models)
    assert Registry([models]).load(NAME).card.version == "0.2.0"


def test_a_model_without_versions_is_not_built_upon(run: Path, models: Path) -> None:
    publish(run, models)
    shutil.copytree(models / NAME / "0.2.0", models / "old")
    with pytest.raises(UsageError, match="without versions"):
        publishing.publish(run, name="old", models=models)
