from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medgan_core.errors import UsageError
from medgan_core.training import folder
from medgan_core.training.recipes.cyclegan import GENERATORS, POOL_A, TO_A, TO_B, CycleGAN
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from tests.core.training.recipes.tiny_brains import batch_of, moment, networks_of, run, tiny


def images(seed: int) -> Tensor:
    return torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_cycle_and_identity_are_zero_for_generators_that_change_nothing() -> None:
    real = {"a": images(0), "b": images(1)}
    fake = {"a": real["b"], "b": real["a"]}
    loss, parts = tiny(CycleGAN, structure=1.0).cycle_error(lambda x: x, lambda x: x, real, fake)
    assert float(loss) == 0
    assert {k: float(v) for k, v in parts.items()} == {
        "cycle.l1": 0.0,
        "cycle.structure": 0.0,
        "identity": 0.0,
    }


def test_a_cycle_that_closes_costs_identity_alone() -> None:
    real = {"a": images(0), "b": images(1)}
    fake = {"a": -real["b"], "b": -real["a"]}
    loss, parts = tiny(CycleGAN, l1=10.0, identity=0.5).cycle_error(lambda x: -x, lambda x: -x, real, fake)
    expected = sum(2 * float(x.abs().mean()) for x in real.values())
    assert float(parts["cycle.l1"]) == 0
    assert float(parts["identity"]) == pytest.approx(expected, rel=1e-5)
    assert float(loss) == pytest.approx(0.5 * 10 * expected, rel=1e-5)


@torch.no_grad()
def test_the_generators_loss_is_the_full_objective(brains: Path) -> None:
    recipe = tiny(CycleGAN)
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    loss, logs = recipe.loss(GENERATOR, networks, batch, moment())
    parts = {k: float(v) for k, v in logs.items()}
    expected = parts["a.adversarial"] + parts["b.adversarial"]
    expected += 10 * parts["cycle.l1"] + 0.5 * 10 * parts["identity"]
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_each_generator_makes_the_side_it_is_named_after(brains: Path) -> None:
    recipe = tiny(CycleGAN, pool=0)
    networks = networks_of(recipe)
    batch = {"a": torch.zeros(1, 1, 32, 32), "b": torch.ones(1, 1, 32, 32)}
    seen: dict[str, Tensor] = {}
    for name in (TO_A, TO_B):
        networks.exact(name).register_forward_hook(lambda _, x, y, n=name: seen.setdefault(n, x[0]))
    recipe.loss(DISCRIMINATOR, networks, batch, moment())
    assert float(seen[TO_A].mean()) == 1
    assert float(seen[TO_B].mean()) == -1


@pytest.mark.parametrize("generator", GENERATORS)
@torch.no_grad()
def test_generators_by_name_keep_the_size(generator: str) -> None:
    recipe = tiny(CycleGAN, generator=generator)
    networks, image = networks_of(recipe), torch.rand(1, 1, 32, 32)
    for name in (TO_A, TO_B):
        assert isinstance(networks.exact(name), GENERATORS[generator])
        assert networks[name](image).shape == image.shape


def test_an_unknown_generator_is_refused() -> None:
    with pytest.raises(UsageError, match="unet"):
        tiny(CycleGAN, generator="transformer")


def test_the_sides_of_the_patients_left_out_are_of_one_place_and_in_training_they_are_not(
    brains: Path,
) -> None:
    def together(batch: dict[str, Tensor]) -> float:
        inside = (batch["a"] > 0.3) & (batch["b"] > 0.3)
        return float(torch.corrcoef(torch.stack([batch["a"][inside], batch["b"][inside]]))[0, 1])

    assert together(batch_of(tiny(CycleGAN), brains, 4, validation=True)) < -0.9
    assert abs(together(batch_of(tiny(CycleGAN), brains, 4))) < 0.3


def test_a_resumed_run_has_the_pool_of_one_that_was_not_stopped(brains: Path, tmp_path: Path) -> None:
    recipe = tiny(CycleGAN, updates=22, validate_every=50, widths=(2, 2), judge_widths=(2, 2), size=(16, 16))
    run(recipe, brains, tmp_path / "whole")
    while not run(recipe, brains, tmp_path / "cut", resume=True, max_minutes=0.0):
        pass
    whole, cut = (folder.networks(tmp_path / name) for name in ("whole", "cut"))
    assert int(whole[POOL_A]["count"]) == 3
    assert whole[POOL_A]["kept"].flatten(1).std(1).min() > 0
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)
