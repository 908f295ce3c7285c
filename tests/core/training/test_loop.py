from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medgan_core.errors import ModelError, UsageError
from medgan_core.training import folder, loop
from medgan_core.training.loop import train
from medgan_core.training.processes import Processes
from medgan_core.training.recipe import Recipe
from medgan_core.training.run import Run
from tests.core.training.toys import Collapsing, Game, Line, Unjudged
from tests.phantom import write_data_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data"))


def run(recipe: Recipe, data: Path, out: Path, **options: object) -> bool:
    return train(recipe, data=data, out=out, command="none", workers=0, **options)  # type: ignore[arg-type]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return {f"{f.stem}.{k}": v for f in sorted((out / "networks").iterdir()) for k, v in load_file(f).items()}


def test_it_learns_and_its_folder_says_how(data: Path, tmp_path: Path) -> None:
    assert run(Line(updates=200), data, tmp_path)
    learned = weights(tmp_path)
    assert float(learned["model.weight"]) == pytest.approx(3, abs=0.3)
    assert folder.resolved(tmp_path)["updates"] == 200
    assert folder.done(tmp_path)["updates"] == 200
    lines = folder.metrics(tmp_path, "train")
    assert [line["step"] for line in lines] == list(range(20, 201, 20))
    assert {"loss", "gradient", "mae", "per_s", "waiting"} <= lines[0].keys()
    assert lines[-1]["loss"] < lines[0]["loss"]
    files = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))["files"]
    assert files
    assert all(len(row["sha256"]) == 64 for row in files)
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 10
    assert list((tmp_path / "curves").iterdir())


@pytest.mark.parametrize("recipe", [Line(), Game(), Game(schedule="constant", ema=0.0)])
def test_stopping_anywhere_and_resuming_gives_what_not_stopping_gives(
    recipe: Recipe, data: Path, tmp_path: Path
) -> None:
    run(recipe, data, tmp_path / "whole")
    while not run(recipe, data, tmp_path / "cut", resume=True, max_minutes=0.0):
        pass
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(1)  # whatever was drawn before does not matter
        run(Game(seed=seed), data, tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not torch.equal(a["generator.weight"], c["generator.weight"])


def test_what_cannot_be_judged_fails_before_the_first_update(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="validate"):
        run(Unjudged(), data, tmp_path / "run")
    assert folder.metrics(tmp_path / "run") == []
    assert not (tmp_path / "run" / "state.json").exists()
    assert run(Unjudged(updates=19), data, tmp_path / "short"), "it is not validated at all"


def test_players_move_their_own_networks_in_turn(data: Path, tmp_path: Path) -> None:
    run(Game(updates=20), data, tmp_path)
    (line,) = folder.metrics(tmp_path, "train")
    assert {"critic.loss", "generator.loss", "critic.right", "generator.gradient"} <= line.keys()


def test_a_run_without_a_good_state_ends_with_a_clear_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="went wrong"):
        run(Line(poison=5), data, tmp_path)
    assert "not finite" in folder.metrics(tmp_path, "watch")[0]["trouble"]
    assert not (tmp_path / "done.json").exists()


def test_a_run_gone_wrong_returns_to_its_last_good_weights_then_gives_up(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="went wrong"):
        run(Line(poison=45, rollbacks=2), data, tmp_path)
    watched = folder.metrics(tmp_path, "watch")
    assert [line["step"] for line in watched] == [60, 60, 60]
    assert [line["rollbacks"] for line in watched] == [0, 1, 2]
    assert "not finite" in folder.stopped(tmp_path)


def test_a_collapse_counts_from_when_samples_were_varied_also_over_a_resume(
    data: Path, tmp_path: Path
) -> None:
    recipe = Collapsing(rollbacks=0)
    assert not run(recipe, data, tmp_path, max_minutes=0)
    assert folder.metrics(tmp_path, "watch") == []
    assert folder.stopped(tmp_path) == ""
    with pytest.raises(ModelError, match="collapse"):
        run(recipe, data, tmp_path, resume=True)
    assert "collapse" in folder.stopped(tmp_path)


def test_early_stopping_keeps_the_best_weights(data: Path, tmp_path: Path) -> None:
    # With so large a step the weight passes its aim early and never comes as near again for long.
    recipe = Line(updates=4000, patience=3, schedule="constant", lr=0.02, ema=0.0)
    assert run(recipe, data, tmp_path)
    assert folder.done(tmp_path)["updates"] < 4000
    best = min(line["loss"] for line in folder.metrics(tmp_path, "validation"))
    assert abs(float(weights(tmp_path)["model.weight"]) - 3) == pytest.approx(best, abs=1e-5)


def test_a_finished_run_is_where_another_starts(data: Path, tmp_path: Path) -> None:
    run(Game(), data, tmp_path / "first")
    run(Game(init=str(tmp_path / "first"), lr=0.0, seed=5), data, tmp_path / "second")
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    torch.testing.assert_close(second["generator.weight"], first["generator.weight"])
    with pytest.raises(UsageError, match="start from"):
        run(Game(init=str(tmp_path / "nowhere")), data, tmp_path / "third")


def test_two_processes_agree_with_one_on_the_same_batch(data: Path, tmp_path: Path) -> None:
    run(Game(updates=10), data, tmp_path / "one")
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom medgan_core.training.loop import train\n"
        "from tests.core.training.toys import Game\n"
        "train(Game(updates=10), data=Path(sys.argv[1]), out=Path(sys.argv[2]), command='none', workers=0)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(script), str(data), str(tmp_path / "two")]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=root,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)


def test_a_batch_that_processes_cannot_share_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shared evenly"):
        loop._Session(Line(batch=7), data, tmp_path, "cpu", Processes(rank=0, world=2), resume=False)


def test_the_learning_rate_is_halved_by_a_rollback(data: Path, tmp_path: Path) -> None:
    one = Run(Line(), torch.device("cpu"), Processes())
    kept = one.state()
    one.roll_back(kept)
    assert one.pace == 0.5
    assert one.rollbacks == 1
