from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from medgan_core.data.degradation import Profile, thick_slices
from medgan_core.errors import UsageError
from medgan_core.training.recipes.srgan import SRGAN, signed
from medgan_core.training.recipes.stabilised import GENERATOR
from tests.core.training.recipes.tiny_brains import batch_of, moment, networks_of, tiny


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_turns_thick_slices_into_the_grid_of_the_truth(
    dims: int, factor: int, brains: Path
) -> None:
    recipe = tiny(SRGAN, spatial_dims=dims, factor=factor, profiles="gaussian")
    batch = batch_of(recipe, brains)
    assert batch["low"].shape == (2, 1, 32, 32 // factor, 6)[: dims + 2]
    assert torch.allclose(batch["low"][0], thick_slices(batch["image"][0], factor=factor, axis=2))
    made = networks_of(recipe)[GENERATOR](signed(batch["low"]))
    assert made.shape == batch["image"].shape


def test_slices_of_every_profile_are_seen(brains: Path) -> None:
    recipe = tiny(SRGAN)
    samples = recipe.samples(brains, validation=False)
    seen = set()
    for sample in (samples[number] for number in range(12)):
        image, low = sample["image"], sample["low"]
        made = {
            name: thick_slices(image, factor=recipe.factor, axis=2, profile=name)
            for name in get_args(Profile)
        }
        seen |= {name for name, slices in made.items() if torch.allclose(low, slices)}
    assert seen == {"box", "gaussian"}


def test_an_untrained_network_is_nearly_linear_interpolation(brains: Path) -> None:
    recipe = tiny(SRGAN)
    found = recipe.validate(networks_of(recipe), recipe.samples(brains, validation=True), moment())
    assert found.numbers["psnr"] == pytest.approx(found.numbers["psnr_linear"], abs=0.3)
    assert found.numbers["ssim"] == pytest.approx(found.numbers["ssim_linear"], abs=0.03)


@torch.no_grad()
def test_content_comes_first_then_the_game(brains: Path) -> None:
    recipe = tiny(SRGAN, content_first=0.5, l1=3.0)
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    loss, logs = recipe.loss(GENERATOR, networks, batch, moment(4, 10))
    assert float(loss) == pytest.approx(3 * float(logs["l1"]))
    assert "adversarial" not in logs
    loss, logs = recipe.loss(GENERATOR, networks, batch, moment(5, 10))
    assert float(loss) == pytest.approx(3 * float(logs["l1"]) + float(logs["adversarial"]), rel=1e-5)
    assert float(logs["features"]) > 0


def test_isotropic_volumes_may_be_cut_across_the_slices(brains: Path) -> None:
    batch = batch_of(tiny(SRGAN, plane="coronal", fold=0), brains)
    assert batch["image"].shape == (2, 1, 32, 32)


@pytest.mark.parametrize(
    "options", [{"factor": 3}, {"factor": 1}, {"profiles": "sinc"}, {"profiles": ""}, {"widths": (8,)}]
)
def test_what_does_not_fit_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        tiny(SRGAN, **options)
