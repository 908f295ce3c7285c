from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medgan_core.errors import UsageError
from medgan_core.training.recipes.ae import AE, MODEL, PRIOR
from medgan_core.training.recipes.reconstruction import judge_reconstruction
from tests.core.training.recipes.subjects import CPU, judge_few, moment, untrained

RECIPE = AE(latent=4, grid=True, rate=0.5, widths=(8, 8))


class Ramps:
    """Images that differ, by number."""

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ramp = torch.linspace(0.2, 0.9, RECIPE.size[1]).expand(1, *RECIPE.size)
        return {"image": ramp * (1 - 0.05 * (number % 5))}


def test_the_loss_is_the_error_plus_the_weighted_bits_per_voxel() -> None:
    networks = untrained(RECIPE)
    batch = {"image": torch.rand(2, 1, *RECIPE.size)}
    loss, logs = RECIPE.loss(MODEL, networks, batch, moment())
    torch.testing.assert_close(loss, logs["error"] + 0.5 * logs["bits"])
    plain = replace(RECIPE, rate=0.0)
    bare = untrained(plain)
    made = bare[MODEL](batch["image"])
    torch.testing.assert_close(
        plain.loss(MODEL, bare, batch, moment())[0], (made - batch["image"]).square().mean()
    )


def test_a_code_that_compresses_is_rounded_and_its_bits_are_the_priors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge_few(monkeypatch)
    networks = untrained(RECIPE)
    model, prior = networks.exact(MODEL), networks.exact(PRIOR)
    image = torch.stack([Ramps()[n]["image"] for n in range(8)])
    with torch.no_grad():
        code = model.encode(image).round()  # type: ignore[operator]
        rebuilt = RECIPE.reconstruct(networks, image)
        torch.testing.assert_close(rebuilt, model.decode(code).clamp(0, 1))  # type: ignore[operator]
        found = RECIPE.validate(networks, Ramps(), moment())
        assert found.numbers["bits"] == pytest.approx(float(prior(code).mean()) / image[0].numel())


def test_noise_is_rician_and_only_where_it_is_asked_for() -> None:
    image = torch.full((1, 1, 400, 400), 0.0)
    noisy = AE(noise=0.2).noisy(image, 0.2, moment())
    assert float(noisy.mean()) == pytest.approx(0.2 * (torch.pi / 2) ** 0.5, rel=0.01)
    assert AE().noisy(image, 0.2, moment()) is image


def test_a_perfect_reconstruction_has_the_highest_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    judge_few(monkeypatch)
    found = judge_reconstruction(lambda x: x, Ramps(), CPU, subject="hippocampus").numbers
    assert found["psnr"] == pytest.approx(100)
    assert found["ssim"] == pytest.approx(1, abs=1e-4)
    assert found["psnr_mean"] < 40
    spoilt = judge_reconstruction(
        lambda x: x, Ramps(), CPU, subject="hippocampus", spoil=lambda x: x + 0.1
    ).numbers
    assert spoilt["psnr"] == spoilt["psnr_input"] == pytest.approx(20, abs=1e-3)


def test_negative_weights_are_refused() -> None:
    with pytest.raises(UsageError):
        AE(noise=-0.1)
