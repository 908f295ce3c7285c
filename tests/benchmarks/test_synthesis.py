from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import shapes, synthesis
from benchmarks.systems.judged import Bench
from benchmarks.systems.runs import Runs
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize
from medgan_core.training.recipes.segmentation import Segmentation
from tests.core.training.recipes.tiny_brains import run
from tests.crops import write_crops
from tests.models import TRAINING

FEW = {"updates": 2, "batch": 2, "warmup": 1, "validate_every": 2}


def balls(radii: list[float]) -> torch.Tensor:
    """Balls of two halves, (n, 1, 24, 24, 24)."""
    axes = np.meshgrid(*(np.arange(24) - 11.5,) * 3, indexing="ij")
    distance = np.sqrt(sum(a**2 for a in axes))
    maps = [(distance < r) * np.where(axes[1] > 0, 1, 2) for r in radii]
    return torch.from_numpy(np.stack(maps))[:, None]


def test_maps_of_the_same_kind_are_near_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    known, unseen, alike = (balls(rng.uniform(6, 9, n).tolist()) for n in (20, 12, 15))
    owners = np.arange(12)
    good = shapes.figures(alike, known, unseen, owners, labels=3)
    bad = shapes.figures(balls(rng.uniform(3, 4, 15).tolist()), known, unseen, owners, labels=3)
    assert good["drawn"]["nearest"] > 0.97 > 0.6 > bad["drawn"]["nearest"]
    assert bad["drawn"]["kid"]["value"] > 10 * abs(good["drawn"]["kid"]["value"])
    means = [good[name]["volume"][0][0] for name in ("drawn", "held_back")]
    assert means[0] == pytest.approx(means[1], rel=0.2)


def test_a_ragged_map_is_rougher_than_a_smooth_one() -> None:
    ball = balls([8.0])[0, 0].numpy() > 0
    ragged = ball & (np.random.default_rng(0).random(ball.shape) < 0.8)
    assert shapes.roughness(ragged) > 2 * shapes.roughness(ball)


def test_a_synthesizer_is_judged_and_its_card_told(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data", train=8, val=7)
    runs = tmp_path / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medgan_core.training.recipes.generation.JUDGED", 32)
        patch.setattr("medgan_core.training.recipes.generation._PAIRS", 2)
        small = HippocampusSynthesize(
            hidden=4, widths=(4, 4), judge_widths=(4, 4), style_widths=(4, 4), shape_widths=(4, 4), **FEW
        )
        run(small, data, runs / synthesis.RUN)
        run(Segmentation(spatial_dims=3, widths=(4, 4, 4), **FEW), data, runs / "segmentation")
    found = synthesis.judge(Bench(data, Runs(runs), 8))
    figures = {figure.name: figure for figure in synthesis.card_figures(found)}
    assert figures["KID"].n == 8
    assert figures["KID"].baseline.startswith("training crops")
    assert all(np.isfinite(figure.value) for figure in figures.values())
    card = small.card(TRAINING)
    assert card.min_inputs == 0
    assert not card.figures
