from __future__ import annotations

import torch
from torch import Tensor

from medgan_core.networks.shape_model import ShapeModel
from medgan_core.training.recipes.pictures import one_hot


def model() -> ShapeModel:
    torch.manual_seed(0)
    return ShapeModel(size=(8, 12, 8), labels=3, latent=4, widths=(4, 4))


def maps(count: int) -> Tensor:
    return one_hot(torch.randint(3, (count, 1, 8, 12, 8)), 3)


def test_it_gives_logits_of_the_whole_size_for_maps_and_for_codes() -> None:
    network = model()
    logits, mean, log_variance = network(maps(2), torch.zeros(2, 4))
    assert logits.shape == (2, 3, 8, 12, 8)
    assert mean.shape == log_variance.shape == (2, 4)
    torch.testing.assert_close(network.decode(mean), logits)
    assert network.draw(torch.randn(5, 4)).shape == (5, 3, 8, 12, 8)


def test_codes_are_drawn_from_the_distribution_that_training_saw() -> None:
    network, known = model().train(), maps(64)
    with torch.no_grad():
        network.to_code[1].weight.mul_(20)  # type: ignore[union-attr, operator]
        network.to_code[1].bias.copy_(torch.tensor([3.0, -2, 0, 1, -4, -4, -4, -4]))  # type: ignore[union-attr, operator]
        for _ in range(400):
            network(known)
        mean, log_variance = network.encode(known)
    expected = torch.cov(mean.T, correction=0) + torch.diag(log_variance.exp().mean(0))
    torch.testing.assert_close(network.centre, mean.mean(0), atol=0.02, rtol=0.02)
    torch.testing.assert_close(network.spread, expected, atol=0.02, rtol=0.05)
    drawn: list[Tensor] = []
    network.decode = lambda code, size=None: drawn.append(code) or code  # type: ignore[assignment, func-returns-value, misc]
    network.draw(torch.randn(20_000, 4))
    largest = float(network.spread.max())
    torch.testing.assert_close(drawn[0].mean(0), network.centre, atol=0.05 * largest**0.5, rtol=0)
    torch.testing.assert_close(torch.cov(drawn[0].T), network.spread, atol=0.05 * largest, rtol=0)


def test_a_model_that_is_used_does_not_change() -> None:
    network = model().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        network(maps(3))
        network.draw(torch.randn(2, 4))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
