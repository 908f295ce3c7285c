from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.training.recipes.pix2pix import Pix2pix
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from tests.core.training.recipes.tiny_brains import batch_of, moment, networks_of, tiny


@pytest.mark.parametrize("dims", [2, 3])
def test_source_and_target_show_the_same_place(dims: int, brains: Path) -> None:
    batch = batch_of(tiny(Pix2pix, spatial_dims=dims), brains, 4, validation=True)
    source, target = batch["source"], batch["target"]
    assert source.shape == target.shape == (4, 1, 32, 32, 6)[: dims + 2]
    inside = (source > 0.3) & (target > 0.3)
    pair = torch.stack([source[inside], target[inside]])
    assert float(torch.corrcoef(pair)[0, 1]) < -0.9  # FLAIR of the phantom falls as T1 rises


def test_several_sources_are_channels(brains: Path) -> None:
    recipe = tiny(Pix2pix, source="T1, FLAIR", target="lesion")
    assert recipe.networks()[GENERATOR](torch.zeros(1, 2, 16, 16)).shape == (1, 1, 16, 16)
    with pytest.raises(UsageError, match="contrasts"):
        tiny(Pix2pix, source="T1,FLAIR", target="FLAIR")


@torch.no_grad()
def test_the_generators_loss_is_the_papers(brains: Path) -> None:
    recipe = tiny(Pix2pix, l1=100.0)
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    loss, logs = recipe.loss(GENERATOR, networks, batch, moment())
    assert float(loss) == pytest.approx(float(logs["adversarial"]) + 100 * float(logs["l1"]), rel=1e-5)


@torch.no_grad()
def test_the_discriminator_judges_output_and_input_together(brains: Path) -> None:
    recipe = tiny(Pix2pix)
    networks, batch = networks_of(recipe), batch_of(recipe, brains)
    for module in networks.modules.values():
        module.eval()
    swapped = {**batch, "source": batch["source"].flip(0)}
    networks.exact(GENERATOR).head.weight.zero_()  # the output no longer depends on the input
    one, _ = recipe.loss(DISCRIMINATOR, networks, batch, moment())
    other, _ = recipe.loss(DISCRIMINATOR, networks, swapped, moment())
    assert float(one) != float(other)


def test_denoising_adds_noise_up_to_its_largest_sigma(brains: Path) -> None:
    recipe = tiny(Pix2pix, task="denoise", noise=0.2)
    batch, again = batch_of(recipe, brains, 8), batch_of(recipe, brains, 8)
    assert torch.equal(batch["source"], again["source"])
    bright = batch["target"] > 0.5
    spread = [
        float((s - t)[b].std()) for s, t, b in zip(batch["source"], batch["target"], bright, strict=True)
    ]
    assert max(spread) > 2 * min(spread)
    assert max(spread) < 0.21


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UsageError, match="task"):
        tiny(Pix2pix, task="dream")
