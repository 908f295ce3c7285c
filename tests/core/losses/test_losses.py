from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from medgan_core.losses.laplace import laplace_nll
from medgan_core.losses.robust import charbonnier
from medgan_core.losses.structure import blur_matrix, ssim_loss


def test_laplace_likelihood_is_lowest_at_the_expected_absolute_error() -> None:
    residual = torch.distributions.Laplace(0.0, 0.2).sample((50_000,))
    s = torch.linspace(-4, 1, 201)
    loss = torch.stack([laplace_nll(residual, v).mean() for v in s])
    assert float(s[loss.argmin()].exp()) == pytest.approx(float(residual.abs().mean()), rel=0.03)


def test_laplace_likelihood_has_its_analytic_value() -> None:
    got = laplace_nll(torch.tensor(0.3), torch.tensor(math.log(0.1)))
    assert float(got) == pytest.approx(3.0 + math.log(0.1))


def test_charbonnier_is_quadratic_near_zero_and_linear_far_away() -> None:
    near, far = charbonnier(torch.tensor(1e-3), epsilon=0.1), charbonnier(torch.tensor(10.0), epsilon=0.1)
    assert float(near) == pytest.approx(1e-6 / 0.2, rel=0.05)
    assert float(far) == pytest.approx(9.9, abs=1e-3)


def test_ssim_agrees_with_a_naive_reference() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 1, (40, 48))
    b = 0.6 * a + 0.4 * rng.uniform(0, 1, (40, 48))
    _, full = structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        win_size=11,
        full=True,
    )
    got = 1 - ssim_loss(torch.tensor(a)[None, None], torch.tensor(b)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(got[6:-6, 6:-6], full[6:-6, 6:-6], atol=1e-5)


def test_ssim_of_an_image_with_itself_is_one() -> None:
    image = torch.rand(1, 2, 16, 20)
    assert float(ssim_loss(image, image).abs().max()) < 1e-5


def test_blur_keeps_a_constant() -> None:
    np.testing.assert_allclose(blur_matrix(20, 11, 1.5).sum(1).numpy(), 1.0, atol=1e-6)
