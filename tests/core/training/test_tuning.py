"""Tuning a published model on a site's studies: versions, figures, going on, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medgan_core import io, registry
from medgan_core.engine import Session
from medgan_core.errors import CancelledError, InputError, UsageError
from medgan_core.monitor import Progress
from medgan_core.registry import Registry
from medgan_core.training import RECIPES, folder, publishing, tuning
from medgan_core.training.cohort import Cohort
from medgan_core.training.recipes.brain_suggest import BrainSuggest
from medgan_core.training.recipes.denoise import Denoise
from medgan_core.training.recipes.hippocampus_suggest import HippocampusSuggest
from medgan_core.training.recipes.lesion_suggest import LesionSuggest
from medgan_core.training.recipes.translate import Translate
from tests.brains import write_heads, write_labelled
from tests.crops import write_crops
from tests.models import toy_translate
from tests.small_site import publish_toy, write_site

LESIONS = "Dice, Multiple sclerosis lesion"
SHORT = {"updates": "60", "lr": "0.003", "batch": "4", "size": "32", "warmup": "2", "validate_every": "20"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One contrast of everyone, enough for denoising."""
    return write_site(tmp_path_factory.mktemp("single"), contrasts=("T1",))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    models = tmp_path / "models"
    publish_toy(models, Translate(widths=(4, 8)), name="site-translate")
    publish_toy(models, Denoise(widths=(4, 8)), name="site-denoise")
    return Session("cpu", registry=Registry([models]))


def tune(
    session: Session, name: str, site: Path, out: Path, settings: Mapping[str, str] = SHORT, **more: Any
) -> tuning.Tuning:
    studies = Cohort.of(site, session.registry.card(name)).to_list()
    return tuning.tune(session, name, studies=studies, out=out, command="tune", settings=settings, **more)


@pytest.mark.parametrize("name", ["site-translate", "site-denoise"])
def test_what_is_better_comes_into_use_and_one_can_go_back(
    session: Session, site: Path, tmp_path: Path, name: str
) -> None:
    steps: list[Progress] = []
    made = tune(session, name, site, tmp_path / "run", progress=steps.append)
    models = session.registry.folders[-1]
    assert made.found.better, "a network with random weights has everything to learn"
    assert made.used
    assert (made.card.version, session.registry.card(name)) == ("1.0.1", made.card)
    assert [f.name for f in made.card.figures] == ["psnr", "ssim"]
    assert made.card.figures[0].baseline.startswith("1.0.0 ")
    assert made.card.data[-1].patients == 2, "the third was held back"
    assert made.card.training.updates == 60
    run, shelf = tmp_path / "run", tmp_path / "shelf"
    by_hand, _ = publishing.publish(run, name="by-hand", models=shelf)
    assert (by_hand.data, by_hand.figures) == (made.card.data, ())
    assert folder.rebuilt(run, RECIPES).name == made.card.training.recipe
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert {step.stage.split()[0] for step in steps} == {"measuring", "training"}
    versions = publishing.published(name, shelf=session.registry, models=models)
    assert [(card.version, used) for card, used in versions] == [("1.0.0", False), ("1.0.1", True)]
    publishing.use(name, "1.0.0", models=models)
    assert session.registry.load(name).card.version == "1.0.0"


def test_what_is_not_better_comes_into_use_on_request_alone(
    session: Session, single: Path, tmp_path: Path
) -> None:
    idle = {**SHORT, "updates": "1", "lr": "0"}
    first = tune(session, "site-denoise", single, tmp_path / "a", idle)
    assert tune(session, "site-denoise", single, tmp_path / "a", idle) == first, (
        "performed again after its end"
    )
    assert (first.found.better, first.used, first.card.version) == (False, False, "1.0.1")
    assert session.registry.card("site-denoise").version == "1.0.0"
    second = tune(session, "site-denoise", single, tmp_path / "b", idle, default=True)
    assert (second.found.better, second.used, second.card.version) == (False, True, "1.0.2")
    assert session.registry.card("site-denoise").version == "1.0.2"


def after(calls: int) -> Callable[[], bool]:
    """False so many times, then True."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_paused_tuning_goes_on_where_it_stopped(session: Session, single: Path, tmp_path: Path) -> None:
    whole = tune(session, "site-denoise", single, tmp_path / "whole")
    publishing.use("site-denoise", "1.0.0", models=session.registry.folders[-1])
    out, stretches = tmp_path / "run", 0
    while True:
        try:
            parts = tune(session, "site-denoise", single, out, pause=after(15))
            break
        except CancelledError:
            stretches += 1
    assert stretches >= 2
    assert parts.card.version == "1.0.2"
    assert parts.found == whole.found
    assert parts.card.weights.sha256 == whole.card.weights.sha256
    assert len(json.loads((out / "before.json").read_text())) == 1, "each study was measured once"


def test_a_cancelled_tuning_publishes_nothing(session: Session, single: Path, tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        tune(session, "site-denoise", single, tmp_path / "run", cancel=after(200))
    models = session.registry.folders[-1]
    assert publishing.versions(models / "site-denoise") == ["1.0.0"]


def test_what_comes_into_use_meanwhile_stays(session: Session, single: Path, tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        tune(session, "site-denoise", single, tmp_path / "slow", pause=after(15))
    assert tune(session, "site-denoise", single, tmp_path / "quick").used
    made = tune(session, "site-denoise", single, tmp_path / "slow")
    assert (made.found.better, made.found.version, made.used) == (True, "1.0.0", False)
    assert session.registry.card("site-denoise").version == "1.0.1"


def test_a_shipped_model_can_be_gone_back_to(
    session: Session, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, models = tmp_path / "shipped", tmp_path / "own"
    for place in (shipped, models):
        place.mkdir()
    session.registry.folder("site-denoise").rename(shipped / "site-denoise")
    monkeypatch.setattr(registry, "SHIPPED", shipped)
    server = Session("cpu", registry=Registry([shipped, models]))
    made = tune(server, "site-denoise", single, tmp_path / "run", {**SHORT, "updates": "1", "lr": "0"})
    assert (made.used, server.registry.card("site-denoise").version) == (False, "1.0.0")
    assert publishing.versions(models / "site-denoise") == ["1.0.0", "1.0.1"]


def test_a_suggestion_is_tuned_on_labels_and_judged_by_its_dice(tmp_path: Path) -> None:
    models, studies = tmp_path / "models", write_crops(tmp_path / "crops", train=4, val=1)
    base = publish_toy(models, HippocampusSuggest(widths=(8, 8)), name="site-suggest")
    session = Session("cpu", registry=Registry([models]))
    quick = {"updates": "60", "lr": "0.01", "warmup": "2", "ema": "0.8"}
    settings = {**quick, "batch": "2", "augmentation": "none", "validate_every": "30"}
    made = tune(session, "site-suggest", studies, tmp_path / "run", settings)
    names = {f"Dice, {label.name}" for label in base.outputs[0].labels}
    assert {figure.name for figure in made.card.figures} == names
    assert all(figure.baseline.startswith("1.0.0 ") for figure in made.card.figures)
    before, after = (sum(row[name] for name in names) for (row,) in (made.found.before, made.found.after))
    assert after > before + 0.2, "random weights have everything to learn"
    assert made.card.data[-1].patients == 4
    assert made.card.volume_calibration == base.volume_calibration


def test_a_label_submitted_meanwhile_does_not_change_what_both_versions_are_judged_by(tmp_path: Path) -> None:
    models, studies = tmp_path / "models", write_crops(tmp_path / "crops", train=2, val=1)
    publish_toy(models, HippocampusSuggest(widths=(8, 8)), name="site-suggest")
    session = Session("cpu", registry=Registry([models]))

    def relabel(step: Progress) -> None:
        if step.stage.startswith("training"):
            known = io.read(studies / "c2-labels.nii.gz")
            io.write(known.with_data(1 + 0 * known.data), studies / "c2-labels.nii.gz")

    idle = {"updates": "1", "lr": "0", "warmup": "1", "batch": "2"}
    made = tune(session, "site-suggest", studies, tmp_path / "run", idle, progress=relabel)
    assert made.found.after == made.found.before, "the weights are the same"


def test_a_model_of_lesions_is_tuned_on_patients(tmp_path: Path) -> None:
    models, studies = tmp_path / "models", tmp_path / "heads"
    studies.mkdir()
    write_heads(studies)
    toy_translate(models, name="brain-mr-translate")
    publish_toy(models, LesionSuggest(widths=(8, 8), slices=3), name="site-lesions")
    session = Session("cpu", registry=Registry([models]))
    quick = {"updates": "150", "lr": "0.01", "warmup": "2", "ema": "0.8", "batch": "4", "size": "48"}
    made = tune(session, "site-lesions", studies, tmp_path / "run", {**quick, "validate_every": "150"})
    (before,), (after,) = made.found.before, made.found.after
    (figure,) = made.card.figures
    assert (figure.name, figure.value) == (LESIONS, round(after[LESIONS], 4))
    assert after[LESIONS] > before[LESIONS] + 0.2, "random weights have everything to learn"
    assert made.used
    assert made.card.completes_with == "brain-mr-translate"


def site_of_heads(folder: Path, *, train: int, val: int) -> tuple[Session, Path]:
    """A session with a tiny model of the brain's structures, and labelled heads."""
    (folder / "heads").mkdir()
    publish_toy(folder / "models", BrainSuggest(widths=(16, 16), slices=3), name="site-brain")
    return Session("cpu", registry=Registry([folder / "models"])), write_labelled(
        folder / "heads", train=train, val=val
    )


def test_a_model_of_the_brain_is_tuned_on_labelled_heads(tmp_path: Path) -> None:
    session, studies = site_of_heads(tmp_path, train=2, val=1)
    quick = {"updates": "200", "lr": "0.01", "warmup": "2", "ema": "0.8", "batch": "4", "size": "48"}
    settings = {**quick, "effects": "0.2", "validate_every": "200"}
    made = tune(session, "site-brain", studies, tmp_path / "run", settings)
    (before,), (after,) = made.found.before, made.found.after
    names = [name for name in after if name.startswith("Dice, ")]
    assert len(names) >= 25, "both sides of nearly every structure are judged"
    gains = [after[name] - before.get(name, 1.0) for name in names]
    assert sum(gains) / len(gains) > 0.1, "random weights have everything to learn"
    assert made.used
    assert made.card.data[-1].patients == 2
    assert made.card.volume_calibration == session.registry.card("site-brain").volume_calibration


def test_single_structures_are_refused_as_the_others_would_be_forgotten(tmp_path: Path) -> None:
    session, studies = site_of_heads(tmp_path, train=2, val=1)
    known = io.read(studies / "h1-labels.nii.gz")
    io.write(known.with_data(known.data * (known.data == 17)), studies / "h1-labels.nii.gz")
    with pytest.raises(InputError, match=r"h1 lacks most structures.*1 of them"):
        tune(session, "site-brain", studies, tmp_path / "run", {"updates": "1", "size": "48"})


def mark(path: Path) -> None:
    """Give a label map values that are none of the model's."""
    known = io.read(path)
    io.write(known.with_data(known.data * 3), path)


def test_a_label_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    models, studies = tmp_path / "models", write_crops(tmp_path / "crops", train=2, val=1)
    publish_toy(models, HippocampusSuggest(widths=(8, 8)), name="site-suggest")
    mark(studies / "c0-labels.nii.gz")
    session = Session("cpu", registry=Registry([models]))
    with pytest.raises(InputError, match="does not know"):
        tune(session, "site-suggest", studies, tmp_path / "run", {"updates": "1"})
    mark(studies / "c2-labels.nii.gz")
    with pytest.raises(InputError, match="can judge"):
        tune(session, "site-suggest", studies, tmp_path / "other", {"updates": "1"})


@pytest.mark.parametrize("key", ["init", "generated", "patience", "widths", "fold", "real_share"])
def test_what_the_model_decides_cannot_be_chosen(session: Session, key: str) -> None:
    with pytest.raises(UsageError, match="cannot be chosen"):
        tuning.recipe_of(session.registry.card("site-denoise"), {key: "1"}, gpu=False)


def test_a_model_of_another_kind_cannot_be_tuned(session: Session) -> None:
    card = session.registry.card("site-denoise")
    other = replace(card, training=replace(card.training, recipe="pix2pix"))
    wider = replace(card, architecture=replace(card.architecture, options={"widths": [4, 8], "slices": 5}))
    moved = replace(card, preprocess=replace(card.preprocess, crop_margin_mm=3.0))
    for one in (other, wider, moved):
        with pytest.raises(UsageError, match="cannot be tuned"):
            tuning.recipe_of(one, {}, gpu=False)
    with pytest.raises(UsageError, match="colour"):
        tuning.recipe_of(card, {"colour": "1"}, gpu=False)


def test_the_presets_keep_the_model(session: Session) -> None:
    card = session.registry.card("site-translate")
    recipe = tuning.recipe_of(card, {"lr": "0.001"}, gpu=True)
    assert (recipe.updates, recipe.batch, recipe.lr, recipe.widths) == (2000, 32, 0.001, (4, 8))
    assert tuning.recipe_of(card, {}, gpu=False).updates == 400
