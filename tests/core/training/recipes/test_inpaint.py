from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.training.recipes.generation import to_signed
from medgan_core.training.recipes.inpaint import Inpaint, harmonic
from medgan_core.training.recipes.stabilised import GENERATOR
from tests.core.training.recipes.tiny_brains import batch_of, moment, networks_of, tiny


@pytest.mark.parametrize("convolutions", ["gated", "partial"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_masked_region_alone_changes(dims: int, convolutions: str, brains: Path) -> None:
    recipe = tiny(Inpaint, spatial_dims=dims, convolutions=convolutions)
    batch = batch_of(recipe, brains)
    image, hole = to_signed(batch["image"]), batch["hole"] > 0
    made = networks_of(recipe)[GENERATOR](image, batch["hole"])
    assert torch.equal(made[~hole], image[~hole])
    assert not torch.equal(made[hole], image[hole])


def test_the_network_does_not_look_into_the_hole(brains: Path) -> None:
    recipe = tiny(Inpaint)
    batch = batch_of(recipe, brains)
    generator = networks_of(recipe)[GENERATOR]
    image = to_signed(batch["image"])
    other = torch.where(batch["hole"] > 0, -image, image)
    hole = batch["hole"] > 0
    assert torch.equal(generator(image, batch["hole"])[hole], generator(other, batch["hole"])[hole])


@torch.no_grad()
def test_the_error_counts_in_the_hole_alone(brains: Path) -> None:
    recipe = tiny(Inpaint, l1=20.0)
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    loss, logs = recipe.loss(GENERATOR, networks, batch, moment())
    image, hole = to_signed(batch["image"]), batch["hole"] > 0
    made = networks[GENERATOR](image, batch["hole"])
    assert float(logs["l1"]) == pytest.approx(float((made - image).abs()[hole].mean()), rel=1e-4)
    assert float(loss) == pytest.approx(20 * float(logs["l1"]) + float(logs["adversarial"]), rel=1e-4)


def test_lesions_come_from_patients_who_are_trained_on(brains: Path) -> None:
    recipe = tiny(Inpaint, holes="lesion", fold=1)
    batch = batch_of(recipe, brains, 4, validation=True)
    assert bool((batch["hole"].flatten(1).sum(1) > 0).all())
    solid = tiny(Inpaint, holes="lesion", spatial_dims=3)
    assert batch_of(solid, brains)["hole"].shape == (2, 1, 32, 32, 6)


def test_an_unknown_kind_of_hole_is_refused(brains: Path) -> None:
    with pytest.raises(UsageError, match="mask"):
        tiny(Inpaint, holes="blob,star").samples(brains, validation=False)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_harmonic_surface_restores_a_ramp(dims: int) -> None:
    ramp = torch.linspace(0, 1, 16).expand(1, 1, *[16] * dims).clone()
    hole = torch.zeros_like(ramp)
    hole[(..., *[slice(5, 11)] * dims)] = 1
    spoiled = torch.where(hole > 0, torch.full_like(ramp, 9.0), ramp)
    torch.testing.assert_close(harmonic(spoiled, hole), ramp, atol=1e-3, rtol=0)
