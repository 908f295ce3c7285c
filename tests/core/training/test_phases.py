"""Players that move in one part of a run only."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import torch

from medgan_core.training import folder, loop
from medgan_core.training.player import Player
from medgan_core.training.processes import Processes
from medgan_core.training.run import Run
from tests.core.training.toys import Game, Numbers
from tests.phantom import write_data_set


class Staged(Game):
    """The critic moves in the first half, the generator in the second."""

    name: ClassVar[str] = "staged"

    def players(self) -> tuple[Player, ...]:
        critic, generator = super().players()
        return (
            dataclasses.replace(critic, phase=(0.0, 0.5)),
            dataclasses.replace(generator, phase=(0.5, 1.0)),
        )


def test_a_player_moves_in_its_phase_alone() -> None:
    recipe = Staged(updates=4)
    run = Run(recipe, torch.device("cpu"), Processes())
    batches = [
        {k: torch.stack([Numbers()[n][k] for n in range(4)]) for k in ("input", "truth")}
        for _ in range(run.repeats)
    ]
    moved = []
    for _ in range(recipe.updates):
        before = {
            name: {k: v.clone() for k, v in module.named_parameters()}
            for name, module in run.networks.modules.items()
        }
        run.update(batches)
        moved.append(
            {
                name
                for name, module in run.networks.modules.items()
                if any(not torch.equal(v, before[name][k]) for k, v in module.named_parameters())
            }
        )
    assert moved == [{"critic"}, {"critic"}, {"generator"}, {"generator"}]


def test_a_run_in_stages_resumes_in_the_middle_of_each(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = write_data_set(tmp_path / "data")
    recipe, whole, cut = Staged(updates=60), tmp_path / "whole", tmp_path / "cut"
    assert loop.train(recipe, data=data, out=whole, command="", workers=0)
    stops = 0
    while not loop.train(recipe, data=data, out=cut, command="", workers=0, resume=True, max_minutes=0.0):
        stops += 1
    assert stops >= 2
    for name, state in folder.networks(whole).items():
        torch.testing.assert_close(folder.networks(cut)[name], state, rtol=0, atol=0)
