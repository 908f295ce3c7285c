"""From a run of a few updates to a published model that the engine applies: restore and detect."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgan_core import io
from medgan_core.engine import RunOptions, Session
from medgan_core.engine import run as apply
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training import publishing
from medgan_core.training.recipe import Recipe
from medgan_core.training.recipes.dae import DAE
from medgan_core.training.recipes.f_anogan import FAnoGAN
from medgan_core.training.recipes.inpaint import Inpaint
from medgan_core.training.recipes.srgan import SRGAN
from medgan_core.volume import Geometry, Volume
from tests.core.training.recipes.subjects import SMALL, judge_few, write_brains
from tests.core.training.recipes.tiny_brains import run, tiny
from tests.models import TRAINING

NAMES = {"srgan": "thin-slices", "inpaint": "fill", "f-anogan": "unusual", "dae": "restored"}


@dataclass(frozen=True)
class Published:
    """A run, the folder of models it was published to, and brains."""

    run: Path
    models: Path
    data: Path


def recipe_of(name: str, **options: Any) -> Recipe:
    if name == "dae":
        return DAE(**{**SMALL, "widths": (4, 8), "size": 32, "simulated": 0.0, **options})
    recipes: dict[str, Recipe] = {
        "srgan": tiny(SRGAN, **options),
        "inpaint": tiny(Inpaint, holes="blob,box", **options),
        "f-anogan": FAnoGAN(**{**SMALL, "latent": 4, "widths": (4, 4, 4), "critic_steps": 1, **options}),
    }
    return recipes[name]


@pytest.fixture(scope="module", params=NAMES)
def published(
    request: pytest.FixtureRequest, brains: Path, tmp_path_factory: pytest.TempPathFactory
) -> Published:
    folder = tmp_path_factory.mktemp(request.param)
    data = brains
    if request.param in ("f-anogan", "dae"):
        (folder / "data").mkdir()
        data = write_brains(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        judge_few(patch)
        run(recipe_of(request.param), data, folder / "run")
    publishing.publish(folder / "run", name=NAMES[request.param], models=folder / "models")
    return Published(folder / "run", folder / "models", data)


def test_a_published_run_restores_or_detects(published: Published) -> None:
    name = NAMES[json.loads((published.run / "recipe.json").read_text())["recipe"]]
    session = Session("cpu", registry=Registry([SHIPPED, published.models]))
    card = session.registry.card(name)
    key = card.inputs[0].key
    image = io.read(next(published.data.rglob("*FLAIR.nii.gz")))
    slices, affine = image.data[..., ::3], image.geometry.affine @ np.diag([2.0, 2.0, 6.0, 1.0])
    thick = Volume(slices, Geometry(slices.shape[1:], affine))
    inputs = {key: thick}
    if card.label_inputs:
        region = np.zeros(thick.geometry.shape, dtype=np.uint8)
        region[20:26, 18:24, 5:8] = 1
        inputs[card.label_inputs[0]] = thick.with_data(region)
    options = RunOptions(settings={"backend": "torch", "precision": "fp32", "allow_unsuitable": True})
    outcome = apply(session, name, inputs, options)
    (port,) = card.outputs
    result = outcome.volumes[port.key]
    assert result.geometry.shape[2] == port.slice_factor * thick.geometry.shape[2]
    assert np.isfinite(result.data).all()
    assert any("looks like" in row.name for row in outcome.report.rows), "the gate is asked"
    assert not any(row.name.startswith("mask: looks") for row in outcome.report.rows)


def test_the_card_tells_what_was_measured_and_on_whom(published: Published) -> None:
    name = NAMES[json.loads((published.run / "recipe.json").read_text())["recipe"]]
    card = Registry([published.models]).card(name)
    assert len(card.figures) == 2
    assert card.figures[0].baseline
    for figure in card.figures:
        assert figure.n >= 1
        assert figure.command == card.training.command
    assert all("of the" in source.note and source.patients for source in card.data), "a fold is left out"
    assert any(text.startswith("Not for diagnosis") for text in card.limits)


def test_a_run_that_was_finished_before_models_were_served_is_published_too(
    published: Published, tmp_path: Path
) -> None:
    name = NAMES[json.loads((published.run / "recipe.json").read_text())["recipe"]]
    older = shutil.copytree(published.run, tmp_path / "run")
    shutil.rmtree(older / "models")
    card, _ = publishing.publish(older, name=name, models=tmp_path / "models")
    assert card.weights.sha256 == Registry([published.models]).card(name).weights.sha256


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dae"])
def test_nothing_is_served_in_3d(name: str) -> None:
    recipe = recipe_of(name, spatial_dims=3)
    assert recipe.model({}) is None
    assert recipe.card(TRAINING) is None
