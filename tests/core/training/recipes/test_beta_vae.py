from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from medgan_core.errors import UsageError
from medgan_core.training.recipes.beta_vae import MODEL, BetaVAE, gaussian_surprise
from tests.core.training.recipes.subjects import moment, untrained

RECIPE = BetaVAE(latent=6, widths=(8, 8), beta=4.0, sigma=0.2)


def batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(3, 1, *RECIPE.size, generator=torch.Generator().manual_seed(1))}


def test_the_surprise_is_that_of_a_gaussian() -> None:
    made, image = torch.rand(2, 3, 1, 5, 4)
    by_hand = -Normal(made, 0.3).log_prob(image).flatten(1).sum(1).mean()
    torch.testing.assert_close(gaussian_surprise(made, image, 0.3), by_hand)


def test_the_loss_is_the_bound_as_written_per_voxel() -> None:
    networks, image = untrained(RECIPE), batch()["image"]
    with torch.no_grad():
        loss, logs = RECIPE.loss(MODEL, networks, batch(), moment())
        noise = moment().normal(3, 6)
        made, mean, log_variance = networks[MODEL](image, noise)
    posterior, prior = Normal(mean, torch.exp(0.5 * log_variance)), Normal(torch.zeros(()), torch.ones(()))
    kl = kl_divergence(posterior, prior).sum(1).mean()
    likelihood = Normal(made, 0.2).log_prob(image).flatten(1).sum(1).mean()
    torch.testing.assert_close(loss, (4 * kl - likelihood) / image[0].numel())
    torch.testing.assert_close(logs["elbo"], (likelihood - kl) / image[0].numel())
    torch.testing.assert_close(logs["kl"], kl)


def test_beta_weights_the_divergence_alone() -> None:
    networks = untrained(RECIPE)
    with torch.no_grad():
        low, logs = replace(RECIPE, beta=1.0).loss(MODEL, networks, batch(), moment())
        high, _ = replace(RECIPE, beta=3.0).loss(MODEL, networks, batch(), moment())
    torch.testing.assert_close(high - low, 2 * logs["kl"] / batch()["image"][0].numel())


def test_the_way_between_two_images_begins_and_ends_at_them() -> None:
    networks, image = untrained(RECIPE), batch()["image"]
    with torch.no_grad():
        way = RECIPE.interpolate(networks, image[:1], image[1:2], 5)
        ends = RECIPE.reconstruct(networks, image[:2])
    torch.testing.assert_close(way[[0, -1]], ends)
    assert float((way[0] - way[2]).abs().max()) > 0


@pytest.mark.parametrize("settings", [{"sigma": 0.0}, {"beta": -1.0}], ids=str)
def test_a_likelihood_without_width_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        BetaVAE(**settings)  # type: ignore[arg-type]
