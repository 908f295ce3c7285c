from __future__ import annotations

import pytest
import torch

from medgan_core.networks.autoencoder import Autoencoder, VariationalAutoencoder


@pytest.mark.parametrize("grid", [False, True])
def test_the_reconstruction_is_the_decoded_code(grid: bool) -> None:
    torch.manual_seed(0)
    network = Autoencoder(size=(12, 16, 10), latent=5, grid=grid, widths=(4, 8), spatial_dims=3)
    x = torch.rand(2, 1, 12, 16, 10)
    code = network.encode(x)
    assert code.shape == (2, *network.latent)
    assert torch.equal(network(x), network.decode(code))
    noise = torch.rand_like(code)
    assert torch.equal(network(x, noise), network.decode(code + noise))


def test_codes_that_are_grids_serve_images_of_any_size() -> None:
    network = Autoencoder(size=(32, 32), latent=3, grid=True, widths=(4, 8, 8))
    x = torch.rand(1, 1, 21, 50)
    assert network.encode(x).shape == (1, 3, 6, 13)
    assert network(x).shape == x.shape


def test_the_variational_code_is_the_mean_plus_scaled_noise() -> None:
    torch.manual_seed(0)
    network = VariationalAutoencoder(size=(16, 16), latent=5, widths=(4, 8))
    x, noise = torch.rand(2, 1, 16, 16), torch.randn(2, 5)
    image, mean, log_variance = network(x, noise)
    again = network.encode(x)
    assert torch.equal(mean, again[0])
    assert torch.equal(log_variance, again[1])
    torch.testing.assert_close(image, network.decode(mean + log_variance.exp().sqrt() * noise))
    assert torch.equal(network(x)[0], network.decode(mean))


def test_an_autoencoder_learns_to_reconstruct() -> None:
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(8, 1, 3, 3), size=(16, 16), mode="bilinear")
    network = Autoencoder(size=(16, 16), latent=16, widths=(8, 16))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        loss = (network(x) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.2 * float(x.var())
