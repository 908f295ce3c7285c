from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medgan_core.data.slabs import CONTRASTS
from medgan_core.data.unpaired_slabs import UNTOLD, Turned
from medgan_core.errors import UsageError
from medgan_core.physics.tissues import INDEX
from medgan_core.registry import Registry
from medgan_core.training import folder, loop
from medgan_core.training.loading import collate
from medgan_core.training.moment import Moment
from medgan_core.training.networks import Networks
from medgan_core.training.recipe import Batch
from medgan_core.training.recipes.brain_synthesize import (
    TOLD,
    BrainSynthesize,
    distance,
    middle,
    patches,
    planes,
    tissue_planes,
)
from medgan_core.training.recipes.stabilised import DISCRIMINATOR, GENERATOR
from tests.models import toy_lesions, toy_structures
from tests.phantom import write_data_set

TINY = BrainSynthesize(
    updates=2, batch=2, warmup=1, validate_every=2, size=32, fold=0, widths=(8, 8), judge_widths=(8, 8)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def batch(data: Path) -> Batch:
    samples = TINY.samples(data, validation=False)
    return collate([samples[n] for n in range(4)])


def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(TINY.networks(), torch.device("cpu"), mixed=False)


def moment() -> Moment:
    return Moment.at(0, 10, seed=(0,), device=torch.device("cpu"))


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_two_updates_leave_a_model_that_loads(data: Path, tmp_path: Path) -> None:
    assert loop.train(TINY, data=data, out=tmp_path / "run", command="none", workers=0)
    model = Registry([tmp_path / "run" / "models"]).load(TINY.name)
    assert model.card.targets == ("T1", "T2", "FLAIR", "PD")
    (found,) = folder.metrics(tmp_path / "run", "validation")
    assert {"swd", "swd_simulated", "swd_real", "kept"} <= set(found)
    close, kept = TINY.figures(found, "medgan train")
    assert close.value == pytest.approx(found["swd"], abs=1e-4)
    assert "other real slices" in close.baseline
    assert 0 < kept.value <= 1


@torch.no_grad()
def test_a_fresh_refiner_gives_the_simulation(batch: Batch) -> None:
    _, logs = TINY.loss(GENERATOR, networks(), batch, moment())
    assert float(logs["away"]) < 0.02


def test_each_player_moves_its_own_network(batch: Batch) -> None:
    for player, other in ((GENERATOR, DISCRIMINATOR), (DISCRIMINATOR, GENERATOR)):
        both = networks()
        with both.moving(player):
            loss, _ = TINY.loss(player, both, batch, moment())
            loss.backward()
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in both.exact(player).parameters())
        assert all(p.grad is None for p in both.exact(other).parameters())


@torch.no_grad()
def test_the_distance_to_the_simulation_counts_as_weighted(batch: Batch) -> None:
    loss, logs = TINY.loss(GENERATOR, networks(), batch, moment())
    wanted = float(logs["adversarial"]) + TINY.content * float(logs["away"])
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_the_contrast_is_one_plane_of_ones() -> None:
    shown = planes(torch.tensor([2, 0]), torch.zeros(2, 1, 3, 4))
    assert shown.shape == (2, len(CONTRASTS), 3, 4)
    assert (shown[:, :, 0, 0] == 1).nonzero().tolist() == [[0, 2], [1, 0]]


def test_the_middle_slice_is_the_middle() -> None:
    assert middle(torch.arange(5.0).reshape(1, 5, 1, 1)).item() == 2


def test_patches_of_noise_are_further_from_smooth_ones_than_from_other_noise() -> None:
    smooth = torch.ones(4, 1, 48, 48) * torch.linspace(0.5, 1, 48)
    noises = [smooth + 0.2 * random(4, 1, 48, 48, seed=n) for n in (0, 1)]
    empty = torch.zeros(2, 1, 48, 48)
    assert len(patches(empty)) == 0
    same, other = distance(*(patches(x) for x in noises)), distance(patches(noises[0]), patches(smooth))
    assert other > 3 * same


def test_every_tissue_is_told_by_one_plane_of_its_group() -> None:
    tissue = torch.tensor([[INDEX["csf"], INDEX["grey"], INDEX["brainstem"], INDEX["white"], UNTOLD]])
    found = tissue_planes(tissue[None])
    assert found.shape == (1, len(TOLD), 1, 5)
    assert torch.equal(found[0, :, 0, :4], 2 * torch.eye(4) - 1)
    assert (found[..., 4] == -1).all()


class TestSegmenter:
    """With a model that finds the brain's structures in the patients."""

    @pytest.fixture
    def recipe(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BrainSynthesize:
        toy_structures(tmp_path / "models", name="finder")
        monkeypatch.setenv("MEDGAN_MODELS", str(tmp_path / "models"))
        return replace(TINY, segmenter="finder", mapped=0.5, size=24)

    def test_some_samples_are_brains_seen_within_their_tissue(
        self, recipe: BrainSynthesize, data: Path
    ) -> None:
        samples = recipe.samples(data, validation=False)
        assert isinstance(samples, Turned)
        drawn = [samples[n] for n in range(24)]
        told = [bool((one["tissue"] != UNTOLD).any()) for one in drawn]
        assert 4 < sum(told) < 20
        for one, known in zip(drawn, told, strict=True):
            assert torch.equal(one["seen"][0] > 0, one["tissue"] != UNTOLD) == known
            assert (one["real"] * (1 - one["seen"])).abs().max() == 0
        both = collate(drawn[:4])
        assert both["base"].shape == (4, 3, 24, 24)

    def test_it_trains_and_is_validated_on_whole_heads(
        self, recipe: BrainSynthesize, data: Path, tmp_path: Path
    ) -> None:
        assert loop.train(recipe, data=data, out=tmp_path / "run", command="none", workers=0)
        (found,) = folder.metrics(tmp_path / "run", "validation")
        assert {"swd", "kept"} <= set(found)

    def test_a_model_that_is_not_there_is_named(self, recipe: BrainSynthesize, data: Path) -> None:
        with pytest.raises(UsageError, match="nobody"):
            replace(recipe, segmenter="nobody").samples(data, validation=False)

    def test_a_model_of_another_kind_is_refused(
        self, recipe: BrainSynthesize, data: Path, tmp_path: Path
    ) -> None:
        toy_lesions(tmp_path / "models", name="other")
        with pytest.raises(UsageError, match="does not tell tissue"):
            replace(recipe, segmenter="other").samples(data, validation=False)

    @torch.no_grad()
    def test_what_is_outside_of_the_brain_does_not_count(self, recipe: BrainSynthesize, data: Path) -> None:
        samples = recipe.samples(data, validation=False)
        one = next(s for s in (samples[n] for n in range(24)) if (s["tissue"] != UNTOLD).any())
        batch = collate([one, one])
        other = {**batch, "real": batch["real"] + 5 * (1 - batch["seen"])}
        losses = [recipe.loss(DISCRIMINATOR, networks(), b, moment())[0] for b in (batch, other)]
        assert float(losses[0]) == float(losses[1])
