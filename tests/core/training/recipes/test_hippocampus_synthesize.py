from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medgan_core.engine import RunOptions, Session
from medgan_core.engine import run as apply
from medgan_core.networks.labelled_synthesizer import LabelledSynthesizer
from medgan_core.registry import SHIPPED, Registry
from medgan_core.training import publishing
from medgan_core.training.finished import Finished
from medgan_core.training.recipes.hippocampus_synthesize import HippocampusSynthesize
from medgan_core.training.recipes.pictures import one_hot
from medgan_core.training.recipes.spade import LABELS
from tests.core.training.recipes.subjects import SMALL, judge_few, moment, untrained
from tests.core.training.recipes.tiny_brains import run
from tests.crops import write_crops

RECIPE = HippocampusSynthesize(
    **SMALL,
    style=4,
    shape=4,
    hidden=4,
    labelled=2,
    widths=(4, 4),
    judge_widths=(4, 4),
    style_widths=(4, 4),
    shape_widths=(4, 4),
)


def test_what_is_published_draws_what_the_run_draws(tmp_path: Path) -> None:
    data = write_crops(tmp_path / "data")
    with pytest.MonkeyPatch.context() as patch:
        judge_few(patch)
        run(RECIPE, data, tmp_path / "run")
        models = tmp_path / "models"
        publishing.publish(tmp_path / "run", name="hippocampus-synthesize", models=models, default=True)
        finished = Finished.open(tmp_path / "run", device="cpu")
    session = Session("cpu", registry=Registry([SHIPPED, tmp_path / "models"]))
    outcome = apply(session, "hippocampus-synthesize", {}, RunOptions(count=2))
    assert outcome.volumes["image-002"].geometry.shape == (16, 24, 16)
    served = session.model("hippocampus-synthesize").network
    assert isinstance(served, LabelledSynthesizer)
    label = torch.from_numpy(outcome.volumes["segmentation-002"].data.astype(np.int64))[None]
    style = torch.randn(1, 4)
    with torch.no_grad():
        expected = finished.recipe.draw(finished.networks, label, style)  # type: ignore[attr-defined]
        found = served(one_hot(label, LABELS), style)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_it_trains_on_as_many_patients_as_are_labelled(tmp_path: Path) -> None:
    samples = RECIPE.samples(write_crops(tmp_path), validation=False)
    assert len({int(samples[n]["case"]) for n in range(20)}) == 2


def test_each_player_moves_its_own_networks_alone() -> None:
    networks = untrained(RECIPE)
    label = torch.randint(LABELS, (2, 1, *RECIPE.size))
    batch = {"image": torch.rand(2, 1, *RECIPE.size), "label": label}
    for player in RECIPE.players():
        with networks.moving(*player.networks):
            RECIPE.loss(player.name, networks, batch, moment())[0].backward()  # type: ignore[no-untyped-call]
        for name, module in networks.modules.items():
            reached = any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())
            assert reached == (name in player.networks), (player.name, name)
            module.zero_grad()


def test_the_shipped_size_fits_into_four_mebibytes() -> None:
    recipe = HippocampusSynthesize()
    model = recipe.model(recipe.networks())
    assert 2 * sum(t.numel() for t in model.state_dict().values()) < 4 * 2**20
