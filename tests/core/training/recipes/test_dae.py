from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgan_core.data.draws import generators
from medgan_core.data.slabs import SimulatedSlabs
from medgan_core.data.stacks import FOREGROUND
from medgan_core.errors import UsageError
from medgan_core.physics.noise import coarse_noise
from medgan_core.training import loop
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.dae import DAE, MARGIN, Noisy, inner
from tests.brains import write_heads
from tests.core.training.recipes.subjects import SMALL, judge_few, write_brains

RECIPE = DAE(widths=(4, 8), size=32, simulated=0.0)


@pytest.fixture(scope="module")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brains(tmp_path_factory.mktemp("brains"))


def test_spots_are_about_as_large_as_the_cells() -> None:
    generator = torch.Generator().manual_seed(0)
    fine, coarse = (coarse_noise((200, 300), cell, generator=generator) for cell in (3.0, 20.0))
    assert fine.shape == coarse.shape == (200, 300)
    steps = [float((field[1:] - field[:-1]).square().mean() / field.var()) for field in (fine, coarse)]
    assert steps[0] > 15 * steps[1]
    assert float(coarse_noise((400, 400), 4.0, generator=generator, smooth=True).std()) == pytest.approx(
        0.85, abs=0.15
    )


def test_noise_lies_on_the_foreground_alone_and_a_sample_is_always_the_same(brains: Path) -> None:
    samples, again = (RECIPE.samples(brains, validation=False) for _ in range(2))
    for number in range(6):
        one = samples[number]
        added = one["input"] - one["truth"]
        assert one["truth"].shape == (1, 32, 32)
        assert (added[one["truth"] <= FOREGROUND] == 0).all()
        assert 0.01 < float(added.std()) < 0.5
        assert torch.equal(one["input"], again[number]["input"])


def test_simulated_slices_have_no_lesion_and_are_shown_as_a_scanner_might(tmp_path: Path) -> None:
    samples = replace(RECIPE, simulated=1.0).samples(write_heads(tmp_path), validation=False)
    assert isinstance(samples, Noisy)
    assert isinstance(samples._heads, SimulatedSlabs)
    for number in range(8):
        lesion = samples._heads.draw(*generators(0, number)).lesion
        assert lesion is not None
        assert not lesion.any()
    several = torch.cat([samples[n]["truth"] for n in range(8)])
    assert several.shape == (8, 32, 32)
    assert 0.2 < float(several[several > FOREGROUND].median()) < 1.2


def test_patches_of_those_left_out_come_with_their_surroundings(brains: Path) -> None:
    sample = RECIPE.samples(brains, validation=True)[1]
    assert sample["image"].shape == (1, 32 + 2 * MARGIN, 32 + 2 * MARGIN)
    assert int(sample["lesion"]) == 1
    assert int(inner(sample["label"]).sum()) >= 10


def test_a_spot_that_the_network_takes_away_is_what_the_score_counts() -> None:
    images = torch.full((2, 1, 96, 96), 0.5)
    spotted = images.clone()
    spotted[0, 0, 46:50, 46:50] = 1.0
    spotted[1, 0, 4:9, 4:9] = 1.0  # in the surroundings
    plain, marked = (torch.cat([x, torch.zeros_like(x)], dim=1) for x in (images, spotted))
    score = RECIPE.score(spotted, plain)
    assert float(score[0]) > 0.1
    assert float(score[1]) < 1e-6
    assert float(RECIPE.score(images, marked)[0]) < 1e-6  # darker than restored


def test_it_learns_to_take_spots_away(brains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_few(monkeypatch)
    settings = {
        **SMALL,
        "updates": 240,
        "batch": 8,
        "lr": 3e-3,
        "ema": 0.9,
        "warmup": 5,
        "validate_every": 240,
    }
    recipe = DAE(widths=(8, 16), size=32, simulated=0.0, **settings)
    found = loop.train(recipe, data=brains, out=tmp_path / "run", command="none", workers=0)
    assert found
    networks = Finished.open(tmp_path / "run").networks
    held = recipe.samples(brains, validation=False)
    pairs = [held[n] for n in range(1000, 1016)]
    given, truth = (torch.stack([p[key] for p in pairs]) for key in ("input", "truth"))
    inside = truth > FOREGROUND
    with torch.no_grad():
        left = (recipe.restored(networks, given)[:, :1] - truth)[inside].square().mean()
    assert float(left) < 0.7 * float((given - truth)[inside].square().mean())


def test_a_contrast_that_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(UsageError, match="simulated"):
        DAE(contrast="SWI")
    assert DAE(contrast="SWI", simulated=0.0).direction == "both"
