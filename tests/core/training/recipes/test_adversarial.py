from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from medgan_core import training
from medgan_core.errors import UsageError
from medgan_core.training import RECIPES, folder, loop
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipes.adversarial import DISCRIMINATOR, GENERATOR, Adversarial
from medgan_core.training.recipes.gan import GAN
from medgan_core.training.recipes.gedgan import GEDGAN
from medgan_core.training.recipes.progressive import Progressive
from medgan_core.training.recipes.sngan import SNGAN
from medgan_core.training.recipes.wgan import WGAN
from tests.crops import write_crops

GANS = [cls for cls in RECIPES.values() if issubclass(cls, Adversarial)]
SMALL = {"updates": 2, "batch": 2, "warmup": 1, "validate_every": 2, "latent": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"))


@pytest.fixture(autouse=True)
def few_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgan_core.training.recipes.generation.JUDGED", 32)


def moment(step: int = 0) -> Moment:
    return Moment.at(step, 10, seed=(0,), device=torch.device("cpu"))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("cls", GANS, ids=lambda cls: cls.name)
def test_two_updates_leave_networks_that_draw_images(
    cls: type[Adversarial], dims: int, data: Path, tmp_path: Path
) -> None:
    widths = (8, 8, 8, 8) if dims == 2 else (4, 4, 4, 4)
    recipe = cls(spatial_dims=dims, widths=widths, **SMALL)  # type: ignore[arg-type]
    assert loop.train(recipe, data=data, out=tmp_path, command="none", workers=0)
    modules = recipe.networks()
    for name, state in folder.networks(tmp_path).items():
        modules[name].load_state_dict(state)
    networks = Networks(modules, torch.device("cpu"))
    with torch.no_grad():
        image = recipe.sample(networks, 2, moment())["image"]
    assert image.shape == (2, 1, *recipe.size)
    assert float(image.min()) >= 0
    assert float(image.max()) <= 1
    (found,) = folder.metrics(tmp_path, "validation")
    assert found["swd"] > 0
    assert list((tmp_path / "pictures").iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "minimax"},
        {"objective": "least-squares", "feature_matching": 1.0},
        {"instance_noise": 0.1, "augment": True},
        {"r1": 1.0, "r1_every": 2},
        {"gradient_penalty": 10.0, "critic_steps": 2},
    ],
    ids=str,
)
def test_every_stabiliser_works_with_any_recipe(
    options: dict[str, object], data: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(GAN(widths=(8, 8, 8, 8), **SMALL), **options)  # type: ignore[arg-type]
    assert loop.train(recipe, data=data, out=tmp_path, command="none", workers=0)


@pytest.mark.parametrize("interaction", ["none", "conjugate", "competitive"])
@pytest.mark.parametrize("structure", [False, True])
def test_both_parts_of_gedgan_are_switches(
    structure: bool, interaction: str, data: Path, tmp_path: Path
) -> None:
    recipe = GEDGAN(structure=structure, interaction=interaction, widths=(8, 8, 8, 8), **SMALL)  # type: ignore[arg-type]
    assert loop.train(recipe, data=data, out=tmp_path, command="none", workers=0)
    first = folder.networks(tmp_path)[DISCRIMINATOR]["shrink.0.first.parametrizations.weight.original"]
    assert first.shape[1] == (3 if structure else 1)


def test_the_last_words_name_the_networks_where_no_model_is_served(data: Path, tmp_path: Path) -> None:
    settings = {"updates": "2", "batch": "2", "validate_every": "5", "widths": "4,4,4,4"}
    said = training.train("gan", data=data, out=tmp_path / "run", settings=settings, preset="cpu", workers=0)
    assert "networks" in said
    assert (tmp_path / "run" / "networks").is_dir()


def test_gedgan_matches_features_of_what_its_discriminator_sees(data: Path, tmp_path: Path) -> None:
    recipe = GEDGAN(interaction="none", feature_matching=1.0, widths=(8, 8, 8, 8), **SMALL)  # type: ignore[arg-type]
    assert loop.train(recipe, data=data, out=tmp_path, command="none", workers=0)


def test_the_network_that_grows_refuses_to_match_features() -> None:
    with pytest.raises(UsageError, match="no features"):
        Progressive(feature_matching=1.0)


def test_gedgan_moves_both_players_by_one_competitive_step(data: Path, tmp_path: Path) -> None:
    recipe = GEDGAN(widths=(4, 4, 4, 4), **(SMALL | {"updates": 20, "validate_every": 100}))  # type: ignore[arg-type]
    loop.train(recipe, data=data, out=tmp_path, command="none", workers=0)
    before = recipe.networks()
    (line,) = folder.metrics(tmp_path, "train")
    assert 0 <= line["plain"] <= 1
    assert line["solve"] > 0
    for name, state in folder.networks(tmp_path).items():
        assert any(not torch.equal(v, before[name].state_dict()[k]) for k, v in state.items())


def test_gedgan_refuses_penalties_of_one_player_alone() -> None:
    with pytest.raises(UsageError, match="one objective"):
        GEDGAN(r1=1.0)
    with pytest.raises(UsageError, match="interaction"):
        GEDGAN(interaction="friendly")


def test_the_wgan_clips_its_critic(data: Path) -> None:
    recipe = WGAN(widths=(8, 8, 8, 8))
    networks = Networks(recipe.networks(), torch.device("cpu"))
    recipe.after_step(GENERATOR, networks)
    assert max(float(p.detach().abs().max()) for p in networks.exact(DISCRIMINATOR).parameters()) > 0.01
    recipe.after_step(DISCRIMINATOR, networks)
    assert max(float(p.detach().abs().max()) for p in networks.exact(DISCRIMINATOR).parameters()) <= 0.01


def test_progressive_growing_goes_through_its_stages_in_order() -> None:
    recipe = Progressive()
    stages = [recipe.stage(n / 100) for n in range(101)]
    assert stages[0] == (0, 1.0)
    assert stages[-1] == (3, 1.0)
    assert [s for s, _ in stages] == sorted(s for s, _ in stages)
    assert {s for s, _ in stages} == {0, 1, 2, 3}
    for last in (1, 2, 3):
        alphas = [a for s, a in stages if s == last]
        assert alphas == sorted(alphas)
        assert alphas[0] < 0.1
        assert alphas[-1] == 1.0


def test_the_discriminators_step_leaves_the_generator_alone_and_the_other_way_round(data: Path) -> None:
    recipe = SNGAN(widths=(8, 8, 8, 8))
    networks = Networks(recipe.networks(), torch.device("cpu"))
    batch = {"image": torch.rand(2, 1, *recipe.size)}
    for player, other in ((DISCRIMINATOR, GENERATOR), (GENERATOR, DISCRIMINATOR)):
        with networks.moving(player):
            recipe.loss(player, networks, batch, moment())[0].backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None and p.grad.any() for p in networks.exact(player).parameters())
        assert all(p.grad is None for p in networks.exact(other).parameters())
        for module in networks.modules.values():
            module.zero_grad()
