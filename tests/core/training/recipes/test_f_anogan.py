from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.training.recipes.f_anogan import ENCODER, FAnoGAN
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from tests.core.training.recipes.subjects import moment, untrained

RECIPE = FAnoGAN(latent=4, widths=(8, 8, 8))


def batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(2, 1, *RECIPE.size, generator=torch.Generator().manual_seed(3))}


def test_a_perfect_reconstruction_scores_nothing_and_a_worse_one_more() -> None:
    networks = untrained(RECIPE)
    image = 2 * batch()["image"] - 1
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    scores = []
    with torch.no_grad():
        for sigma in (0.0, 0.1, 0.3):
            residual, features = RECIPE.distances(networks, image, image + sigma * noise)
            scores.append(residual + features)
    assert not bool(scores[0].any())
    assert bool((scores[0] < scores[1]).all())
    assert bool((scores[1] < scores[2]).all())


def test_the_score_is_what_the_encoder_minimises() -> None:
    networks = untrained(RECIPE)
    with torch.no_grad():
        loss, logs = RECIPE.loss(ENCODER, networks, batch(), moment())
        score = RECIPE.score(networks, batch()["image"])
        plain = replace(RECIPE, kappa=0.0).score(networks, batch()["image"])
        again = networks[GENERATOR](networks[ENCODER](2 * batch()["image"] - 1))
    torch.testing.assert_close(loss, score.mean())
    torch.testing.assert_close(loss, logs["residual"] + logs["features"])
    by_hand = (2 * batch()["image"] - 1 - again).square().flatten(1).mean(1)
    torch.testing.assert_close(plain, by_hand)


def test_the_encoder_comes_after_the_game_and_leaves_its_networks_alone() -> None:
    critic, generator, encoder = RECIPE.players()
    assert critic.phase == generator.phase
    assert critic.phase[1] == encoder.phase[0] == pytest.approx(0.6)
    assert encoder.phase[1] == 1.0
    networks = untrained(RECIPE)
    with networks.moving(*encoder.networks):
        RECIPE.loss(ENCODER, networks, batch(), moment())[0].backward()  # type: ignore[no-untyped-call]
    assert any(bool(p.grad.any()) for p in networks.exact(ENCODER).parameters() if p.grad is not None)
    for name in (GENERATOR, DISCRIMINATOR):
        assert all(p.grad is None for p in networks.exact(name).parameters())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_stages_need_a_part_of_the_run(share: float) -> None:
    with pytest.raises(UsageError, match="stages"):
        FAnoGAN(encoder_share=share)
